"""The layer itself: what it saves, what its temperature gets, and what it refuses."""

import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
import torch

from tests.support.probabilities import check_probabilities
from tests.support.worked_example import WorkedExample
from torchtrack_uq import (
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    InputError,
    ParentalSoftmax,
    TemperatureScaler,
    UncertaintyLayer,
)


class TestUncertaintyLayer:
    def test_state_dict_brings_back_the_temperature_and_refuses_other_methods(
        self, crowd: Detections
    ) -> None:
        fitted = UncertaintyLayer("AS", TemperatureScaler(2.5))
        fitted.scaler.fitted.fill_(True)
        fresh = UncertaintyLayer("AS")
        fresh.load_state_dict(fitted.state_dict())
        assert fresh.temperature.item() == pytest.approx(2.5)
        assert bool(fresh.scaler.fitted)
        graph = DistanceTracker().candidates(crowd)
        assert torch.equal(fresh(graph).link, fitted(graph).link)
        with pytest.raises(InputError, match="saved by method AS, but the layer's method is FP"):
            UncertaintyLayer("FP").load_state_dict(fitted.state_dict())

    def test_saved_and_read_back_as_weights_only(self, tmp_path) -> None:
        torch.save(UncertaintyLayer("FP+A", 1.7).state_dict(), tmp_path / "layer.pt")
        fresh = UncertaintyLayer("FP+A")
        fresh.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
        assert fresh.temperature.item() == pytest.approx(1.7)

    @pytest.mark.parametrize("method", ["SM", "FP", "FP+A", "AS", "exact", "auto", "bp"])
    def test_temperature_gets_a_gradient_and_the_graph_keeps_its_scores(
        self, crowd: Detections, method: str
    ) -> None:
        tracker = DistanceTracker(search_range=8, scale=4)
        layer = UncertaintyLayer(method, 2.0, k=20, perturbation=FeaturePerturbation(3))
        scores = layer.scores(tracker, crowd, progress=False)
        p = layer(scores)
        check_probabilities(p, capacity=method not in ("SM", "FP", "bp"))
        assert p.method == method
        columns = [getattr(p.graph, name).tolist() for name in ("mother", "daughter", "score")]
        own = {(i, j): s for i, j, s in zip(*columns, strict=True)}
        plain = tracker.candidates(crowd)
        for i, j, s in zip(plain.mother.tolist(), plain.daughter.tolist(), plain.score.tolist(), strict=True):
            assert own[i, j] == s
        p.entropy.sum().backward()
        gradient = layer.scaler.raw_temperature.grad
        assert gradient is not None
        assert torch.isfinite(gradient)
        assert gradient != 0

    def test_likelihood_at_a_temperature(self) -> None:
        graph = WorkedExample().graph()
        mother = torch.tensor([-1, -1, 0, 1])
        layer = UncertaintyLayer("exact", 2.0)
        every = WorkedExample().ranked()
        z = sum(np.exp(weight / 2) for weight, _ in every)
        found = layer.log_prob(graph, mother)
        assert found.item() == pytest.approx((-0.2 - 0.4) / 2 - np.log(z))
        found.sum().backward()
        assert layer.scaler.raw_temperature.grad is not None
        with pytest.raises(InputError, match="no joint likelihood"):
            UncertaintyLayer("SM").log_prob(graph, mother)

    def test_a_method_may_be_an_object(self) -> None:
        graph = WorkedExample().graph()
        layer = UncertaintyLayer(ParentalSoftmax(null_class=False))
        assert (layer.method, layer.options) == ("SM", {"null_class": False})
        assert (layer(graph).null[2:] == 0).all()

    def test_plain_scores_are_refused_where_perturbed_ones_are_needed(self) -> None:
        for method in ("FP", "FP+A"):
            with pytest.raises(InputError, match="needs scores under noise"):
                UncertaintyLayer(method)(WorkedExample().graph())
        with pytest.raises(InputError, match="unknown"):
            UncertaintyLayer("MC dropout")

    def test_trains_under_distributed_data_parallel(self, tmp_path) -> None:
        # in a process of its own that ends without clean-up: torch joins gloo's threads while it holds the GIL, which
        # one of them may be waiting for
        code = f"""
            import os, torch
            from tests.support.worked_example import WorkedExample
            from torchtrack_uq import UncertaintyLayer
            rendezvous = "file://{tmp_path / "rendezvous"}"
            torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=0, world_size=1)
            layer = torch.nn.parallel.DistributedDataParallel(UncertaintyLayer("exact", 2.0))
            layer(WorkedExample().graph()).entropy.sum().backward()
            print(layer.module.scaler.raw_temperature.grad.item(), flush=True)
            os._exit(0)
        """
        run = subprocess.run(
            [sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, run.stderr
        assert abs(float(run.stdout)) > 0

    @pytest.mark.parametrize("method", ["SM", "AS", "bp"])
    def test_compiled_it_gives_the_same(self, method: str) -> None:
        graph = WorkedExample().graph()
        layer = UncertaintyLayer(method, 1.5)
        torch.testing.assert_close(torch.compile(layer, backend="eager")(graph).link, layer(graph).link)
