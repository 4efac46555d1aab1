"""Event scores fitted together with the temperature."""

import math

import numpy as np
import pytest
import torch

from torchtrack_uq import CandidateGraph, Detections, EventOffsets, InputError, UncertaintyLayer
from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie, fit_events
from torchtrack_uq.truth import FeasibleTruth
from torchtrack_uq.truth.targets import LinkTargets

from .simulated import EVENTS, simulated_movie


def layer_with_offsets(method: str = "exact") -> UncertaintyLayer:
    return UncertaintyLayer(method, events=EventOffsets())


def test_known_offsets_and_temperature_are_found_again() -> None:
    changed = {"appear": -2.0, "disappear": -1.0, "divide": -2.5}
    movie = simulated_movie(1500, 0, scale=2.0, events=changed)  # scores twice those of the truth
    found = fit_events(layer_with_offsets(), [movie], prior_width=None, offset_width=None)
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    wanted = {name: value - EVENTS[name] for name, value in changed.items()}
    for one, other in (("appear", "disappear"), ("disappear", "divide")):  # all that assignments can tell
        assert found.offsets[one] + found.offsets[other] == pytest.approx(
            wanted[one] + wanted[other], abs=0.25
        )
    assert found.log_likelihood_after > found.log_likelihood_before
    assert (found.n_unreachable, found.n_crowded, found.n_daughters) == (0, 0, 4500)


def test_no_other_values_are_likelier() -> None:
    movie = simulated_movie(40, 1)
    layer = layer_with_offsets()
    best = fit_events(layer, [movie]).log_likelihood_after * 120
    fitted = dict(layer.events.values)
    temperature = float(layer.temperature.detach())

    def penalised(log_t: float, offsets: dict[str, float]) -> float:
        with torch.no_grad():
            other = UncertaintyLayer("exact", math.exp(log_t), events=EventOffsets(**offsets))
            likelihood = float(other.log_prob(movie.graph, movie.targets.mother).sum())
        return likelihood - log_t**2 / 2 - sum(x**2 for x in offsets.values()) / 200

    at_best = penalised(math.log(temperature), fitted)
    assert at_best <= best
    for step in (-0.05, 0.05):
        assert penalised(math.log(temperature) + step, fitted) < at_best
        for name in fitted:
            assert penalised(math.log(temperature), {**fitted, name: fitted[name] + step}) < at_best


def test_only_two_of_the_three_offsets_change_the_posterior() -> None:
    movie = simulated_movie(3, 4)
    one, other = (
        UncertaintyLayer("exact", events=EventOffsets(0.5 + shift, 1.0 - shift, -2.0 + shift))(movie.graph)
        for shift in (0.0, 0.7)
    )
    torch.testing.assert_close(one.link, other.link)
    torch.testing.assert_close(one.divide, other.divide)


class TestFeasibleTruth:
    def graph(self):
        cells = Detections.from_points(np.array([0, 0, 1, 1, 1, 1]), np.zeros((6, 2)))
        return CandidateGraph.from_links(
            cells, [0, 0, 0, 1], [2, 3, 4, 5], torch.tensor([1.0, 3.0, 2.0, 0.0])
        )

    def test_a_third_daughter_and_one_without_candidate_have_no_mother(self) -> None:
        graph = self.graph()
        truth = FeasibleTruth.of(
            graph, LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 0, 0, 0]), graph.frame)
        )
        assert truth.mother.tolist() == [-1, -1, -1, 0, 0, -1]
        assert (truth.n_crowded, truth.n_unreachable) == (1, 1)
        assert truth.complete.tolist() == [True]

    def test_frame_pairs_with_unknown_daughters_are_left_out(self) -> None:
        graph = self.graph()
        known = torch.tensor([True, True, True, True, True, False])
        targets = LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 0, -1, 1]), graph.frame, known)
        assert FeasibleTruth.of(graph, targets).complete.tolist() == [False]
        with pytest.raises(InputError, match="annotated completely"):
            fit_events(layer_with_offsets(), [ScoredMovie("partial", graph, targets)])


def test_refused_without_offsets_or_joint_likelihood() -> None:
    movie = simulated_movie(3, 2)
    with pytest.raises(InputError, match="without events"):
        fit_events(UncertaintyLayer("AS"), [movie])
    with pytest.raises(InputError, match="method SM"):
        fit_events(layer_with_offsets("SM"), [movie])
    with pytest.raises(InputError, match="FP\\+A"):
        UncertaintyLayer("FP+A", events=EventOffsets())
    with pytest.raises(InputError, match="divide"):
        EventOffsets(divide=math.inf)


def test_events_that_never_happen_say_so() -> None:
    cells = Detections.from_points(np.repeat([0, 1], 6), np.zeros((12, 2)))
    graph = CandidateGraph.from_links(cells, np.arange(6), np.arange(6, 12), np.zeros(6))
    mother = torch.cat([torch.full((6,), -1), torch.arange(6)])
    movie = ScoredMovie("no event", graph, LinkTargets.from_mothers(mother, graph.frame))
    with pytest.warns(CalibrationWarning, match="fit the temperature alone"):
        fit_events(layer_with_offsets(), [movie], prior_width=None, offset_width=None, max_steps=100)


def test_a_second_daughter_never_becomes_likelier_than_a_first() -> None:
    graph = simulated_movie(3, 5).graph
    offsets = EventOffsets(disappear=3.0, divide=4.0)
    changed = offsets(graph)
    assert float((changed.disappear + changed.divide).max().detach()) == 0.0
    UncertaintyLayer("AS", events=offsets).solve(graph)  # refuses anything else
    changed.divide.sum().backward()
    assert float(offsets.disappear.grad) < 0
    free = graph.with_scores(graph.score, graph.appear, graph.disappear + 3, graph.divide + 3)
    assert float(offsets(free).divide[0].detach()) == float(free.divide[0]) + 4.0


def test_offsets_move_the_map_and_the_posterior_alike() -> None:
    movie = simulated_movie(5, 3)
    layer = UncertaintyLayer("exact", 2.0, events=EventOffsets(appear=1.0, divide=-3.0))
    graph = movie.graph
    by_hand = graph.with_scores(graph.score, graph.appear + 2.0, graph.disappear, graph.divide - 6.0)
    torch.testing.assert_close(layer.corrected(graph).divide, by_hand.divide)
    torch.testing.assert_close(layer(graph).link, UncertaintyLayer("exact", 2.0)(by_hand).link)
