"""A method of one's own, as an object and by name, and any module as a method."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.chunked_tracker import ChunkedTracker
from tests.support.probabilities import check_probabilities
from tests.support.simulated import simulated_movie
from tests.support.small_graph import graph_of
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    EventOffsets,
    FeaturePerturbation,
    InputError,
    LinkProbabilities,
    ParentalSoftmax,
    PerturbedScores,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.calibration import fit_temperature
from torchtrack_uq.layers.method import Method, ModuleMethod, Scaling, Scores, with_graph
from torchtrack_uq.layers.method import graph_of as plain
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.utils.registry import Entry


class Sharper(Method):
    """The softmax at a power of its own, which it finds once."""

    name = "sharper"

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power
        self.n_solved = 0
        self.softmax = ParentalSoftmax()

    def solve(self, scores: Scores, scaling: Scaling) -> float:
        self.n_solved += 1
        return self.power

    def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
        power = self.solve(scores, scaling) if solved is None else solved
        graph = scaling.tempered(plain(scores))
        sharp = graph.with_scores(graph.score * power, graph.appear * power, graph.disappear, graph.divide)
        return replace(with_graph(self.softmax(sharp), plain(scores)), method=self.name)


@pytest.fixture
def registered() -> Iterator[None]:
    METHODS.add("sharper", Entry("a softmax at a power", Sharper, {"power": 3.0}))
    yield
    METHODS.remove("sharper")


@pytest.fixture
def graph() -> CandidateGraph:
    return graph_of(torch.tensor([2.0, 0.5, -1.0, 0.3]), torch.full((5,), -1.0))


class TestAMethodOfOnesOwn:
    def test_gets_temperature_and_offsets_and_leaves_the_trackers_scores(self, graph: CandidateGraph) -> None:
        offsets = EventOffsets(appear=0.5)
        found = UncertaintyLayer(Sharper(), 4.0, events=offsets)(graph)
        by_hand = ParentalSoftmax()(
            graph.with_scores(graph.score / 2, (graph.appear / 4 + 0.5) * 2, graph.disappear, graph.divide)
        )
        torch.testing.assert_close(found.link, by_hand.link)
        torch.testing.assert_close(found.null, by_hand.null)
        assert torch.equal(found.graph.score, graph.score)
        assert found.method == "sharper"
        check_probabilities(found, capacity=False)

    def test_by_name_it_is_what_the_registry_says(self, graph: CandidateGraph, registered: None) -> None:
        found = UncertaintyLayer("sharper", 2.0)(graph)
        expected = UncertaintyLayer(Sharper(power=3.0), 2.0)(graph)
        assert torch.equal(found.link, expected.link)

    def test_tracks_by_name(self, blobs: tuple[Any, Any], registered: None) -> None:
        result = UncertainTracker(DistanceTracker(), "sharper").track(*blobs, progress=False)
        assert result.probabilities.method == "sharper"
        check_probabilities(result.probabilities, capacity=False)

    def test_what_it_solved_is_used_at_any_temperature(self, graph: CandidateGraph) -> None:
        method = Sharper()
        layer = UncertaintyLayer(method)
        solved = layer.solve(graph)
        for temperature in (0.5, 3.0):
            layer.scaler.temperature = temperature
            assert torch.equal(layer(graph, solved).link, layer(graph).link)
        assert method.n_solved == 3  # once ahead, and in the two calls without it
        torch.testing.assert_close(layer(graph, 0.0).link.detach(), torch.full((4,), 1 / 3))

    def test_its_temperature_can_be_fitted(self) -> None:
        """Twice as sharp takes twice the temperature of the plain softmax."""
        method = Sharper()
        layer = UncertaintyLayer(method)
        movie = simulated_movie(200, 0, scale=2.0).solve(layer)
        fit = fit_temperature(layer, [movie], prior_width=None)
        single = fit_temperature(UncertaintyLayer("SM"), [movie], prior_width=None).temperature
        assert math.log(fit.temperature) == pytest.approx(math.log(2 * single), abs=1e-3)
        assert float(layer.temperature.detach()) == pytest.approx(fit.temperature)
        assert bool(layer.scaler.fitted)
        assert fit.nll_after < fit.nll_before
        assert method.n_solved == 1

    def test_its_state_is_not_that_of_another_method(self, graph: CandidateGraph) -> None:
        state = UncertaintyLayer(Sharper(), 2.5).state_dict()
        fresh = UncertaintyLayer(Sharper())
        fresh.load_state_dict(state)
        assert float(fresh.temperature.detach()) == pytest.approx(2.5)
        with pytest.raises(InputError, match="saved by method sharper, but the layer's method is SM"):
            UncertaintyLayer("SM").load_state_dict(state)

    def test_what_it_does_not_promise_is_not_asked_of_it(self, graph: CandidateGraph) -> None:
        layer = UncertaintyLayer(Sharper())
        with pytest.raises(InputError, match="method sharper has no joint likelihood; use one of AS, exact"):
            layer.log_prob(graph, torch.full((5,), -1))
        assert layer.perturbation is None

    def test_one_that_takes_no_offsets_is_refused_them(self) -> None:
        class Stubborn(Sharper):
            takes_offsets = False

        with pytest.raises(
            InputError, match="sharper counts assignments under the tracker's own event scores"
        ):
            UncertaintyLayer(Stubborn(), events=EventOffsets())

    def test_one_that_needs_noise_gets_it(self, crowd: Detections) -> None:
        class FirstDraw(Sharper):
            needs_noise = True

            def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
                assert isinstance(scores, PerturbedScores)
                assert scores.n_copies == 3
                return super().at(scores, scaling, solved)

        layer = UncertaintyLayer(FirstDraw(), perturbation=FeaturePerturbation(3))
        check_probabilities(layer.probabilities(DistanceTracker(), crowd, progress=False), capacity=False)

    def test_one_that_streams_gets_the_chunks_and_the_way_to_temper_them(self, crowd: Detections) -> None:
        seen: list[int] = []
        whole = DistanceTracker().candidates(crowd, progress=False)

        class Streams(Sharper):
            streams = True

            def stream(
                self,
                detections: Detections,
                chunks: Iterable[Any],
                temper: Callable[[Any], Any] | None = None,
            ) -> LinkProbabilities:
                assert temper is not None
                for chunk in chunks:
                    torch.testing.assert_close(temper(chunk).score, chunk.score / 2)
                    seen.append(chunk.first)
                return ParentalSoftmax()(whole)

        layer = UncertaintyLayer(Streams(), 2.0)
        found = layer.probabilities(ChunkedTracker(lambda _: whole), crowd, progress=False)
        assert seen == [0, 1, 2, 3]
        assert torch.equal(found.link, ParentalSoftmax()(whole).link)


class TestModuleMethod:
    class Halves(nn.Module):
        """Half of the softmax goes to null, by a learnt share."""

        def __init__(self) -> None:
            super().__init__()
            self.share = nn.Parameter(torch.tensor(0.5))

        def forward(self, graph: CandidateGraph) -> LinkProbabilities:
            p = ParentalSoftmax()(graph)
            log_null = (p.null + (1 - p.null) * self.share).log()
            return replace(p, log_link=p.log_link + (1 - self.share).log(), log_null=log_null)

    def test_a_module_sees_tempered_scores_and_the_result_has_the_trackers_own(
        self, graph: CandidateGraph
    ) -> None:
        found = UncertaintyLayer(self.Halves(), 2.0, events=EventOffsets(appear=0.5))(graph)
        tempered = graph.with_scores(graph.score / 2, graph.appear / 2 + 0.5, graph.disappear, graph.divide)
        torch.testing.assert_close(found.link, self.Halves()(tempered).link)
        assert torch.equal(found.graph.score, graph.score)
        assert torch.equal(found.graph.appear, graph.appear)
        check_probabilities(found, capacity=False)

    def test_it_bears_the_name_of_its_class_and_its_parameters_are_the_layers(
        self, graph: CandidateGraph
    ) -> None:
        layer = UncertaintyLayer(self.Halves())
        assert layer.method == "Halves"
        assert "posterior.module.share" in dict(layer.named_parameters())
        layer(graph).link.sum().backward()
        assert layer.posterior.module.share.grad is not None
        assert layer.posterior.module.share.grad != 0
        with pytest.raises(InputError, match="saved by method Halves, but the layer's method is SM"):
            UncertaintyLayer("SM").load_state_dict(layer.state_dict(), strict=False)

    def test_alone_it_is_the_module(self, graph: CandidateGraph) -> None:
        module = self.Halves()
        assert torch.equal(ModuleMethod(module)(graph).link, module(graph).link)

    def test_scores_under_noise_count_without_it(self, crowd: Detections) -> None:
        noisy = FeaturePerturbation(2)(DistanceTracker(), crowd, progress=False)
        layer = UncertaintyLayer(self.Halves())
        assert torch.equal(layer(noisy).link, layer(noisy.graph).link)

    def test_a_method_is_taken_as_it_is(self) -> None:
        method = Sharper()
        assert UncertaintyLayer(method).posterior is method
