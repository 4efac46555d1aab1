"""Gradients of every method, in every input, where it is hard: against autograd and against finite differences."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from torchtrack_uq import (
    AssignmentPosterior,
    CandidateGraph,
    Detections,
    EventOffsets,
    UncertaintyLayer,
    confirm,
    forbid,
)
from torchtrack_uq.layers import daughters_nll
from torchtrack_uq.links.names import SCORES
from torchtrack_uq.truth import LinkTargets

METHODS = ("SM", "AS", "exact", "auto", "bp")


def movie(seed: int = 0, spread: float = 1.0) -> CandidateGraph:
    """Three frames of 3, 4 and 3 cells, two links in three are candidates, float64."""
    g = torch.Generator().manual_seed(seed)
    frame = np.repeat([0, 1, 2], [3, 4, 3])
    cells = Detections.from_points(frame, np.zeros((10, 2)))
    pairs = [(i, j) for i in range(10) for j in range(10) if frame[j] == frame[i] + 1]
    kept = [pair for pair in pairs if torch.rand((), generator=g) < 0.67]
    score = torch.randn(len(kept), generator=g, dtype=torch.float64) * spread
    events = [torch.randn(10, generator=g, dtype=torch.float64) - 1 for _ in range(3)]
    mother, daughter = zip(*kept, strict=True)
    return CandidateGraph.from_links(cells, list(mother), list(daughter), score, *events)


def with_forbidden(graph: CandidateGraph) -> CandidateGraph:
    """A confirmed and a forbidden link, a mother who cannot divide, and a cell that must have a mother."""
    graph = confirm(graph, [3], [int(graph.mother[graph.daughter == 3][0])])
    last = int(graph.daughter[-1])
    graph = forbid(graph, [last], [int(graph.mother[graph.daughter == last][0])])
    divide = graph.divide.clone()
    divide[1] = -torch.inf
    return graph.with_scores(graph.score, graph.appear, graph.disappear, divide)


def outputs(layer: UncertaintyLayer, graph: CandidateGraph) -> Tensor:
    p = layer(graph)
    events = [p.disappear, p.divide]
    return torch.cat([p.log_link.exp(), p.log_null.exp(), *(events if layer.method != "SM" else [])])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("forbidden", [False, True])
def test_every_input_has_the_gradient_of_a_finite_difference(method: str, forbidden: bool) -> None:
    graph = with_forbidden(movie(1)) if forbidden else movie(1)
    finite = {name: torch.isfinite(getattr(graph, name)) for name in SCORES}
    free = [getattr(graph, name)[finite[name]].clone().requires_grad_() for name in SCORES]
    events = EventOffsets(0.1, -0.2, -0.3)
    layer = UncertaintyLayer(method, 1.2, events=events, k=5_000 if method == "AS" else 100)
    raw = layer.scaler.raw_temperature

    def run(*inputs: Tensor) -> Tensor:
        scores = [
            getattr(graph, name).masked_scatter(finite[name], values)
            for name, values in zip(SCORES, inputs[:4], strict=True)
        ]
        return outputs(layer, graph.with_scores(*scores))

    inputs = (*free, raw, *events.parameters())
    # divide is capped at -disappear, a kink of no concern here
    assert gradcheck(run, inputs, eps=1e-6, atol=2e-5, nondet_tol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_minus_infinity_makes_no_gradient_nan(method: str) -> None:
    graph = with_forbidden(movie(2))
    scores = [getattr(graph, name).clone().requires_grad_() for name in SCORES]
    layer = UncertaintyLayer(method, 1.3, events=EventOffsets(0.5, -0.5, -1.0))
    mothers = torch.full((10,), -1)
    for j in range(3, 10):
        options = graph.mother[(graph.daughter == j) & (graph.score > -torch.inf)]
        mothers[j] = int(options[0]) if len(options) else -1
    found = daughters_nll(layer, graph.with_scores(*scores), LinkTargets.from_mothers(mothers, graph.frame))
    found.loss.backward()
    reached = [p for p in (*scores, *layer.parameters()) if p.grad is not None]  # SM knows two scores only
    assert len(reached) >= 4
    assert all(bool(torch.isfinite(p.grad).all()) for p in reached)


def test_adam_on_a_graph_with_decisions_keeps_the_temperature_finite() -> None:
    graph = with_forbidden(movie(3))
    layer = UncertaintyLayer("auto", events=EventOffsets())
    mothers = torch.full((10,), -1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        daughters_nll(layer, graph, LinkTargets.from_mothers(mothers, graph.frame)).loss.backward()
        optimiser.step()
    assert all(bool(torch.isfinite(p)) for p in layer.parameters())


@pytest.mark.parametrize("method", ["exact", "auto"])
@pytest.mark.parametrize("nats", [20.0, 60.0])
def test_an_unlikely_truth_beside_an_ordinary_spot_is_pushed_with_full_weight(
    method: str, nats: float
) -> None:
    """d log P / d s of a link that is nearly impossible is 1, and of what stands in its place -1."""
    cells = Detections.from_points(np.array([0, 0, 0, 1, 1, 1]), np.zeros((6, 2)))
    score = torch.tensor([0.0, -nats, 0.3, 0.1, 0.2, 0.0], dtype=torch.float64, requires_grad=True)
    graph = CandidateGraph.from_links(cells, [0, 1, 1, 2, 2, 1], [3, 3, 4, 4, 5, 5], score, -9.0, 0.0, -1.0)
    p = AssignmentPosterior(method)(graph)
    link = int(((graph.mother == 1) & (graph.daughter == 3)).nonzero())
    p.log_link[link].backward()
    assert float(score.grad[1]) == pytest.approx(1.0, abs=1e-6)
    assert float(score.grad[0]) == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("method", ["exact", "auto", "bp"])
def test_a_second_derivative_is_refused_and_not_silently_incomplete(method: str) -> None:
    graph = movie(4)
    score = graph.score.clone().requires_grad_()
    p = AssignmentPosterior(method)(graph.with_scores(score, graph.appear, graph.disappear, graph.divide))
    (first,) = torch.autograd.grad(p.link[0], score, create_graph=True)
    with pytest.raises(RuntimeError, match="derivative"):
        (first**2).sum().backward()


@pytest.mark.parametrize("seed", range(3))
def test_a_movie_of_two_spots_of_very_different_weight(seed: int) -> None:
    """One component is a coin toss, the other certain to e^-40; neither spoils the other's gradient."""
    cells = Detections.from_points(np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.zeros((8, 2)))
    g = torch.Generator().manual_seed(seed)
    base = torch.tensor([0.0, 0.1, 0.1, 0.0, 40.0, 0.0, 0.0, 40.0], dtype=torch.float64)
    score = (base + 0.1 * torch.rand(8, generator=g, dtype=torch.float64)).requires_grad_()

    def run(score: Tensor) -> Tensor:
        graph = CandidateGraph.from_links(
            cells, [0, 1, 0, 1, 2, 3, 2, 3], [4, 4, 5, 5, 6, 6, 7, 7], score, -5.0, -1.0, -2.0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return AssignmentPosterior("exact")(graph).log_link

    assert gradcheck(run, (score,), eps=1e-6, atol=1e-6)
