"""Gradients of FP in every copy's scores, of FP+A in T."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from torchtrack_uq import CandidateGraph, Detections, EventOffsets, PerturbedScores, UncertaintyLayer
from torchtrack_uq.links.names import SCORES

CELLS = Detections.from_points(np.array([0, 0, 0, 1, 1, 1]), np.zeros((6, 2)))
MOTHER, DAUGHTER = [0, 1, 0, 1, 2, 1, 2], [3, 3, 4, 4, 4, 5, 5]


def copies_of(n: int, forbidden: bool) -> PerturbedScores:
    g = torch.Generator().manual_seed(3)
    copies = []
    for _ in range(n):
        score, *events = (torch.randn(k, generator=g, dtype=torch.float64) for k in (7, 6, 6, 6))
        if forbidden:
            score[2] = -torch.inf
            events[2][0] = -torch.inf
        events[2] = torch.minimum(events[2], -events[1])  # convex
        copies.append(CandidateGraph.from_links(CELLS, MOTHER, DAUGHTER, score, *events))
    return PerturbedScores.of(copies[0], copies)


@pytest.mark.parametrize("forbidden", [False, True])
@pytest.mark.parametrize("paper", [False, True])
def test_mean_scores_pass_gradients_to_every_copy(forbidden: bool, paper: bool) -> None:
    noisy = copies_of(3, forbidden)
    names = ("score", "appear")  # FP reads no other
    finite = {name: torch.isfinite(getattr(noisy, name)) for name in names}
    free = [getattr(noisy, name)[finite[name]].clone().requires_grad_() for name in names]
    events = EventOffsets(0.1, -0.2, -0.3)
    layer = UncertaintyLayer("FP", 1.3, events=events, paper=paper)

    def run(*inputs: Tensor) -> Tensor:
        given = {name: getattr(noisy, name) for name in SCORES}
        for name, values in zip(names, inputs[:2], strict=True):
            given[name] = given[name].masked_scatter(finite[name], values)
        p = layer(PerturbedScores(noisy.graph, **given))
        return torch.cat([p.log_link.exp(), p.log_null.exp()])

    assert gradcheck(run, (*free, layer.scaler.raw_temperature, *events.parameters()), atol=1e-6)


@pytest.mark.parametrize("paper", [False, True])
def test_frequencies_of_maps_have_a_gradient_in_the_temperature(paper: bool) -> None:
    noisy = copies_of(5, False)
    layer = UncertaintyLayer("FP+A", 0.8, paper=paper)

    def run(raw: Tensor) -> Tensor:
        p = layer(noisy)
        return torch.cat([p.link, p.null, p.disappear, p.divide])

    assert gradcheck(run, (layer.scaler.raw_temperature,), atol=1e-6)
