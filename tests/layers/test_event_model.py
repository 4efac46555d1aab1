"""Event scores that know where a cell is and what it looks like."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.chunked_tracker import ChunkedTracker
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    EventModel,
    EventOffsets,
    InputError,
    UncertaintyLayer,
)
from torchtrack_uq.links.covariates import with_covariates
from torchtrack_uq.posterior.map_links import map_links

COEFFICIENTS = {
    "appear_at_border": 3.0,
    "disappear_at_border": -1.0,
    "border_width": 0.7,
    "divide_size": 1.5,
    "divide_shrinking": 2.0,
}


def graph_with_covariates(seed: int = 0, max_gap: int = 2) -> CandidateGraph:
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(4), [3, 4, 0, 3])
    cells = Detections.from_points(frame, rng.uniform(0, 20, (10, 2)), n_frames=4)
    gap = frame[None] - frame[:, None]
    mother, daughter = np.nonzero((gap >= 1) & (gap <= max_gap))
    score = torch.tensor(rng.normal(0, 1, len(mother)))
    graph = CandidateGraph.from_links(
        cells, mother, daughter, score, appear=-2.0, disappear=-2.0, divide=-3.0, max_gap=max_gap
    )
    graph = with_covariates(graph, cells)
    return graph.with_tensors(
        covariates=torch.cat([graph.covariates[:, :1], torch.randn(10, 2).clamp(-2, 2)], 1)
    )


def test_without_coefficients_it_is_the_constants() -> None:
    graph = graph_with_covariates()
    offsets = {"appear": 0.5, "disappear": 1.0, "divide": -0.7, "miss": -0.3}
    one, other = (layer(graph) for layer in (EventModel(**offsets), EventOffsets(**offsets)))
    for name in ("score", "appear", "disappear", "divide"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_scores_are_those_of_the_formula() -> None:
    graph = graph_with_covariates()
    model = EventModel(appear=0.5, divide=-1.0, **COEFFICIENTS)
    found = model(graph, unit=2.0)
    border, size, shrinking = graph.covariates.double().T
    rate = 1 + (np.exp(3.0) - 1) * torch.exp(-border / 0.7)
    torch.testing.assert_close(found.appear.detach(), graph.appear + 2 * (0.5 + rate.log()))
    divide = graph.divide + 2 * (-1.0 + 1.5 * size + 2.0 * shrinking)
    torch.testing.assert_close(found.divide.detach(), torch.minimum(divide, -found.disappear.detach()))


def test_a_second_daughter_never_becomes_likelier_than_a_first() -> None:
    graph = graph_with_covariates()
    found = EventModel(disappear_at_border=9.0, divide_size=9.0, divide_shrinking=9.0)(graph)
    assert float((found.disappear + found.divide).max().detach()) <= 0
    UncertaintyLayer("AS").posterior(found)


@pytest.mark.parametrize("max_gap", [1, 2])
def test_gradients_of_the_likelihood_are_those_of_differences(max_gap: int) -> None:
    graph = graph_with_covariates(1, max_gap)
    mother = torch.full((10,), -1)
    mother[3] = 0
    layer = UncertaintyLayer("exact", 1.3, events=EventModel(0.1, 0.2, -0.3, -0.4, **COEFFICIENTS))
    parameters = dict(layer.events.named_parameters())

    def likelihood() -> torch.Tensor:
        return layer.log_prob(graph, mother).sum()

    likelihood().backward()
    for name, parameter in parameters.items():
        if name == "miss" and max_gap == 1:
            continue
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter.add_(step)
                values.append(float(likelihood()))
                parameter.sub_(step)
        assert float(parameter.grad) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6), name


def test_what_the_map_is_of_is_what_the_posterior_is_of() -> None:
    graph = graph_with_covariates()
    layer = UncertaintyLayer("exact", 1.7, events=EventModel(appear=1.0, miss=-0.5, **COEFFICIENTS))
    tempered, corrected = layer.tempered(graph), layer.corrected(graph)
    for name in ("score", "appear", "disappear", "divide"):
        torch.testing.assert_close(getattr(corrected, name) / 1.7, getattr(tempered, name))
    assert np.array_equal(map_links(corrected.detach()), map_links(tempered.detach()))


def test_the_share_of_the_border_is_what_the_border_adds() -> None:
    graph = graph_with_covariates()
    model = EventModel(appear=0.4, appear_at_border=2.0, disappear_at_border=-2.0)
    inside = EventOffsets(appear=0.4)(graph)
    share = model.border_share(graph)
    weight, plain = model(graph).appear.exp(), inside.appear.exp()
    torch.testing.assert_close(1 - share["appear"], plain / weight)
    assert torch.equal(share["disappear"], torch.zeros(10, dtype=torch.float64))
    assert 0 < float(share["appear"].min().detach()) <= float(share["appear"].max().detach()) < 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 50), st.lists(st.floats(-15, 15), min_size=6, max_size=6), st.floats(0.05, 20))
def test_whatever_the_coefficients_scores_are_finite_and_fall_off_from_the_border(
    seed: int, values: list[float], width: float
) -> None:
    graph = graph_with_covariates(seed)
    names = (
        "appear",
        "disappear",
        "appear_at_border",
        "disappear_at_border",
        "divide_size",
        "divide_shrinking",
    )
    model = EventModel(**dict(zip(names, values, strict=True)), border_width=width)
    with torch.no_grad():
        found, share, offsets = model(graph), model.border_share(graph), model.cell_offsets(graph)
    assert all(bool(torch.isfinite(getattr(found, name)).all()) for name in ("appear", "disappear", "divide"))
    assert float((found.disappear + found.divide).max()) <= 1e-9
    order = torch.argsort(graph.covariates[:, 0])
    for name in ("appear", "disappear"):
        assert bool(((share[name] >= 0) & (share[name] <= 1)).all())
        slope = torch.diff(offsets[name][order]) * values[names.index(f"{name}_at_border")]
        assert float(slope.max()) <= 1e-9


def test_states_and_constructors_hold_all_of_it() -> None:
    model = EventModel(0.1, 0.2, -0.3, -0.4, **COEFFICIENTS)
    assert model.coefficients == pytest.approx(COEFFICIENTS)
    other = EventModel()
    other.load_state_dict(model.state_dict())
    assert other.values == model.values
    assert other.coefficients == model.coefficients
    with pytest.raises(InputError, match="border_width"):
        EventModel(border_width=0.0)
    with pytest.raises(InputError, match="divide_size"):
        EventModel(divide_size=float("nan"))


def test_links_without_covariates_are_refused_and_layers_add_them() -> None:
    rng = np.random.default_rng(3)
    cells = Detections.from_points(np.repeat([0, 1, 2], 4), rng.uniform(0, 50, (12, 2)))
    tracker = DistanceTracker(search_range=30, scale=8)
    layer = UncertaintyLayer("auto", events=EventModel(appear_at_border=2.0))
    with pytest.raises(InputError, match="needs covariates"):
        layer(tracker.candidates(cells))
    scores = layer.scores(tracker, cells)
    with torch.no_grad():
        assert torch.equal(layer.probabilities(tracker, cells).link, layer(scores).link)
    noisy = UncertaintyLayer("FP", events=EventModel(appear_at_border=2.0))
    noisy.scores(tracker, cells, progress=False).mean_graph().covariates.sum()


def test_a_tracker_that_streams_is_asked_for_the_whole_movie() -> None:
    rng = np.random.default_rng(4)
    cells = Detections.from_points(np.repeat([0, 1, 2], 4), rng.uniform(0, 50, (12, 2)))
    tracker = ChunkedTracker(DistanceTracker(search_range=30, scale=8).candidates)
    layer = UncertaintyLayer("auto", events=EventModel(appear_at_border=2.0))
    with torch.no_grad():
        assert torch.equal(layer.probabilities(tracker, cells).link, layer(layer.scores(tracker, cells)).link)
        with pytest.raises(InputError, match="needs covariates"):
            layer.posterior.stream(cells, tracker.stream(cells), layer.tempered)
