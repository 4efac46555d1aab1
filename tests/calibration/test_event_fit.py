"""Event scores fitted together with the temperature."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.simulated import EVENTS, simulated_movie
from tests.support.simulated_gaps import GAP_EVENTS, MISS, movie_with_gaps
from torchtrack_uq import CandidateGraph, Detections, EventOffsets, InputError, UncertaintyLayer
from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie, fit_events
from torchtrack_uq.truth.targets import LinkTargets


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


def test_what_a_miss_costs_is_found_again() -> None:
    changed = {"appear": -1.5, "disappear": -2.5, "divide": -2.0}
    movie = movie_with_gaps(1500, 3, miss=-2.5, events=changed)
    found = fit_events(layer_with_offsets(), [movie], offset_width=None)
    assert found.offsets["miss"] == pytest.approx(-2.5 - MISS, abs=0.3)
    for one, other in (("appear", "disappear"), ("disappear", "divide")):
        wanted = changed[one] + changed[other] - GAP_EVENTS[one] - GAP_EVENTS[other]
        assert found.offsets[one] + found.offsets[other] == pytest.approx(wanted, abs=0.3)


def test_unknown_daughters_of_a_movie_with_gaps_are_summed_over_not_lost() -> None:
    movie = movie_with_gaps(300, 4, miss=-2.5)
    keep = torch.rand(movie.graph.n_cells, generator=torch.Generator().manual_seed(0)) < 0.7
    partly = movie.only(keep)
    with pytest.warns(CalibrationWarning, match="no annotated cell disappears:"):
        found = fit_events(layer_with_offsets(), [partly], offset_width=None)
    assert found.n_daughters == int(partly.targets.known.sum()) > 0
    assert found.offsets["miss"] == pytest.approx(-2.5 - MISS, abs=0.8)
    whole = fit_events(layer_with_offsets(), [movie], offset_width=None)
    assert found.offsets != whole.offsets


def test_a_forbidden_event_of_one_cell_does_not_cost_the_whole_movie() -> None:
    movie = movie_with_gaps(50, 5)
    graph = movie.graph
    without = int(((movie.targets.mother < 0) & movie.targets.known).nonzero()[0])
    appear = graph.appear.clone()
    appear[without] = -torch.inf
    forbidden = replace(movie, scores=replace(graph, appear=appear))
    found = fit_events(layer_with_offsets(), [forbidden])
    assert found.n_daughters == movie.targets.n_judged - 1
    assert found.log_likelihood_after > found.log_likelihood_before


def test_without_gaps_a_miss_is_neither_fitted_nor_named() -> None:
    layer = layer_with_offsets()
    assert set(fit_events(layer, [simulated_movie(20, 6)]).offsets) == {"appear", "disappear", "divide"}
    assert float(layer.events.miss.detach()) == 0
