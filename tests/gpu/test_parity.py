"""Every layer gives on a GPU what it gives on the CPU."""

import dataclasses

import pytest
import torch

from tests.support.movies import random_movie, random_targets
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    FeaturePerturbation,
    LinkProbabilities,
    LinkTargets,
    Movie,
    PerturbedScores,
    TrackastraTracker,
    UncertaintyLayer,
    confirm,
    forbid,
    judge,
)
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.layers.likelihood import daughters_nll, joint_nll
from torchtrack_uq.links.names import SCORES
from torchtrack_uq.metrics import calibration_metrics
from torchtrack_uq.posterior import map_links

METHODS = ["SM", "AS", "exact", "auto", "bp"]


def movie(dtype: torch.dtype) -> CandidateGraph:
    """A batch of two movies, with links that a person confirmed and forbade."""
    graph = CandidateGraph.batch(
        [random_movie([9, 10, 11], 0, dtype), random_movie([20, 0, 19, 21], 1, dtype)]
    )
    graph = confirm(graph, [int(graph.cell_offsets[1])], [0])
    last = int(graph.daughter[-1])
    return forbid(graph, [last], [int(graph.mother[-1])])


def assert_close(on_gpu: LinkProbabilities, on_cpu: LinkProbabilities, tolerance: float) -> None:
    for item in dataclasses.fields(on_cpu):
        expected, found = getattr(on_cpu, item.name), getattr(on_gpu, item.name)
        if isinstance(expected, torch.Tensor):
            assert found.is_cuda, item.name
            torch.testing.assert_close(found.cpu(), expected, atol=tolerance, rtol=tolerance, msg=item.name)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("method", METHODS)
def test_probabilities(method: str, dtype: torch.dtype, tolerance: float) -> None:
    graph, events = movie(dtype), EventOffsets(-0.1, -0.2, -0.3)
    layer = UncertaintyLayer(method, 1.4, events=events)
    with torch.no_grad():
        expected = layer(graph)
        assert_close(layer.cuda()(graph.to("cuda")), expected, tolerance)


@pytest.mark.parametrize("method", ["FP", "FP+A"])
def test_probabilities_under_noise(method: str) -> None:
    graph = random_movie([9, 10, 11], 0)
    noise = torch.Generator().manual_seed(0)
    draws = {
        name: getattr(graph, name) + torch.randn(4, len(getattr(graph, name)), generator=noise)
        for name in SCORES
    }
    draws["divide"] = torch.minimum(draws["divide"], -draws["disappear"])
    scores = PerturbedScores(graph, **draws)
    layer = UncertaintyLayer(method, 1.4, perturbation=FeaturePerturbation(4))
    with torch.no_grad():
        expected = layer(scores)
        assert_close(layer.cuda()(scores.to("cuda")), expected, 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method: str) -> None:
    graph = movie(torch.float64)
    gradients = []
    for device in ("cpu", "cuda"):
        moved = graph.to(device)
        leaves = [getattr(moved, name).clone().requires_grad_() for name in SCORES]
        layer = UncertaintyLayer(method, 1.4).to(device)
        p = layer(moved.with_scores(*leaves))
        inputs = [*leaves, layer.scaler.raw_temperature]
        found = torch.autograd.grad(p.link.square().sum() + p.null.sin().sum(), inputs, allow_unused=True)
        gradients.append([None if g is None else g.cpu() for g in found])
    for expected, got in zip(*gradients, strict=True):
        assert (expected is None) == (got is None)
        if expected is not None and got is not None:
            torch.testing.assert_close(got, expected, atol=1e-8, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:method AS bounds log Z")
@pytest.mark.parametrize("method", ["AS", "exact", "auto", "bp"])
def test_losses(method: str) -> None:
    graph = random_movie([9, 10, 11], 0)
    targets: LinkTargets = random_targets(graph, 0)
    layer = UncertaintyLayer(method, 1.4)
    for loss in (joint_nll, daughters_nll):
        expected = loss(layer.cpu(), graph, targets)
        found = loss(layer.cuda(), graph.to("cuda"), targets.to("cuda"))
        assert found.n_daughters == expected.n_daughters
        torch.testing.assert_close(found.loss.cpu(), expected.loss, atol=1e-9, rtol=1e-9)


def test_maps_judgement_and_metrics() -> None:
    graph = random_movie([9, 10, 11], 0)
    targets = random_targets(graph, 0)
    assert map_links(graph.to("cuda")).tolist() == map_links(graph).tolist()
    p = UncertaintyLayer("SM")(graph).detach()
    on_gpu, on_cpu = judge(p.to("cuda"), targets), judge(p, targets)
    torch.testing.assert_close(on_gpu.true_log_p.cpu(), on_cpu.true_log_p)
    metrics, expected = calibration_metrics(events=False).to("cuda"), calibration_metrics(events=False)
    metrics.update(p.to("cuda"), targets)
    expected.update(p, targets)
    for name, number in metrics.compute().items():
        assert number.is_cuda
        assert float(number) == pytest.approx(float(expected.compute()[name]), abs=1e-9, nan_ok=True)


def test_problems_of_a_graph_on_the_gpu() -> None:
    graph = random_movie([9, 10, 11], 0)
    assert graph.to("cuda").problem(1).score.tolist() == graph.problem(1).score.tolist()


def test_the_tracker_moves_as_a_module_does(
    crop: tuple[Movie, Detections], full_size_model: torch.nn.Module
) -> None:
    _, cells = crop
    tracker = TrackastraTracker(full_size_model)
    with torch.no_grad():
        expected = tracker.candidates(cells, progress=False)
        found = tracker.cuda().candidates(cells, progress=False)
    assert tracker.device.type == "cuda"
    assert found.score.is_cuda
    p, q = (UncertaintyLayer("SM")(graph).link.detach().cpu() for graph in (expected, found))
    assert len(p) == len(q)
    torch.testing.assert_close(q, p, atol=1e-3, rtol=0)
