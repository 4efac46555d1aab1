import math

import pytest
import torch
from torch import Tensor

from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.training import TrainingSettings, WindowSampler, candidate_mask, collate_windows, link_nll
from torchtrack_uq.training.module import build_model


@pytest.fixture
def batch(movies: list[AnnotatedMovie]) -> dict[str, Tensor]:
    sampler = WindowSampler(movies, seed=1)
    return collate_windows([sampler[i] for i in range(4)])


def test_equals_trackastras_own_normalised_output(batch: dict[str, Tensor]) -> None:
    """Per daughter: -log of the probability that `normalize_output` gives the mother or leaves to null."""
    model = build_model(TrainingSettings(d_model=72, n_layers=1, spatial_cutoff=60)).double().eval()
    coords, timepoints = batch["coords"].double(), batch["timepoints"]
    with torch.no_grad():
        logits = model(coords, features=batch["features"].double(), padding_mask=batch["padding_mask"])
        probability = model.normalize_output(logits, timepoints, coords)
    candidates = candidate_mask(coords, timepoints, 60)
    n_far = 0
    for b, j in batch["weight"].nonzero().tolist():
        mother = int(batch["mother"][b, j])
        before = timepoints[b] == timepoints[b, j] - 1
        if mother >= 0:
            n_far += not candidates[b, mother, j]
            expected = probability[b, mother, j]
        else:
            expected = 1 - probability[b, before, j].sum()
        one = torch.zeros_like(batch["weight"])
        one[b, j] = 1
        loss = link_nll(logits, candidates, batch["mother"], one.double())
        if mother >= 0 and not candidates[b, mother, j]:
            assert expected == 0
            assert loss == 0
        elif expected > 1e-3:  # Trackastra adds 1e-6 to its denominators
            assert float(loss) == pytest.approx(-math.log(expected), abs=2e-3)
    assert n_far < int((batch["weight"] > 0).sum())


def test_is_the_weighted_mean_over_daughters(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    n = batch["coords"].shape[1]
    logits = torch.randn(4, n, n, dtype=torch.float64)
    candidates = candidate_mask(batch["coords"], batch["timepoints"], 1e6)
    total, weights = 0.0, 0.0
    for b, j in batch["weight"].nonzero().tolist():
        scores = [0.0] + [float(logits[b, i, j]) for i in range(n) if candidates[b, i, j]]
        mother = int(batch["mother"][b, j])
        truth = float(logits[b, mother, j]) if mother >= 0 else 0.0
        weight = float(batch["weight"][b, j])
        total += weight * (math.log(sum(math.exp(score) for score in scores)) - truth)
        weights += weight
    loss = link_nll(logits, candidates, batch["mother"], batch["weight"])
    assert float(loss) == pytest.approx(total / weights, rel=1e-6)


def test_gradients_are_right() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 5, dtype=torch.float64, requires_grad=True)
    timepoints = torch.tensor([[0, 0, 1, 1, 2], [0, 1, 1, 1, -1]])
    coords = torch.cat([timepoints.unsqueeze(-1), torch.rand(2, 5, 2) * 10], dim=-1).double()
    candidates = candidate_mask(coords, timepoints, 8.0)
    mother = torch.tensor([[-1, -1, 0, -1, 3], [-1, 0, 0, -1, -1]])
    weight = torch.tensor([[0, 0, 1.0, 1, 1], [0, 0.5, 0.5, 0.5, 0]]).double()
    assert torch.autograd.gradcheck(lambda x: link_nll(x, candidates, mother, weight), logits)


def test_stays_finite_without_candidates_and_for_huge_scores() -> None:
    logits = torch.tensor([[[0.0, 1e4], [0.0, 0.0]]], requires_grad=True)
    candidates = torch.tensor([[[False, True], [False, False]]])
    weight = torch.tensor([[1.0, 1.0]])
    loss = link_nll(logits, candidates, torch.tensor([[-1, -1]]), weight)
    loss.backward()
    assert loss.item() == pytest.approx(5e3)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_is_zero_without_targets() -> None:
    nothing = torch.zeros(1, 2, 2)
    assert link_nll(nothing, nothing > 1, torch.tensor([[-1, -1]]), torch.zeros(1, 2)) == 0


def test_candidates_are_one_frame_before_within_reach_and_no_padding() -> None:
    timepoints = torch.tensor([[0, 1, 2, 2, -1]])
    place = torch.tensor([[0.0, 1.0, 2.0, 30.0, 0.0]])
    coords = torch.stack([timepoints.float(), place, torch.zeros(1, 5)], dim=-1)
    assert candidate_mask(coords, timepoints, 10.0).nonzero().tolist() == [[0, 0, 1], [0, 1, 2]]
