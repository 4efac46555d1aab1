"""Likelihoods of what is known where forbidden events leave little: -inf for what cannot be, and no error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from tests.support.brute_force import all_assignments
from tests.support.problems import tiny_problems
from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections, InputError
from torchtrack_uq.assignment import AssignmentProblem

EXACT = AssignmentPosterior("exact")


@settings(deadline=None)
@given(tiny_problems(), st.data())
def test_what_is_known_may_be_anything(problem: AssignmentProblem, data: st.DataObject) -> None:
    parents, weights = all_assignments(problem)
    n, k = problem.n_mothers, problem.n_daughters
    if not (len(parents) and k and np.isfinite(logsumexp(weights))):
        return
    mother = np.array(data.draw(st.lists(st.integers(-2, n - 1), min_size=k, max_size=k)))
    e = len(problem.mother)
    rejected = np.array(data.draw(st.lists(st.booleans(), min_size=e, max_size=e)), bool)
    agrees = ((parents == mother) | (mother < -1)).all(1)
    for m, d in zip(problem.mother[rejected], problem.daughter[rejected], strict=True):
        agrees &= parents[:, d] != m
    wanted = logsumexp(weights[agrees]) - logsumexp(weights) if agrees.any() else -np.inf
    nobody = torch.full((n,), -1)
    found = EXACT.log_prob_partial(
        CandidateGraph.from_problem(problem),
        torch.cat([nobody, torch.from_numpy(mother.clip(min=-1))]),
        torch.cat([nobody > 0, torch.from_numpy(mother >= -1)]),
        torch.from_numpy(rejected),
    )
    np.testing.assert_allclose(found.numpy().ravel(), wanted, atol=1e-8)


@pytest.mark.parametrize("max_gap", [1, 2])
def test_a_mother_who_must_have_a_daughter_and_is_left_none_has_probability_0(max_gap: int) -> None:
    """In her problem only; others keep their likelihood and its gradient."""
    cells = Detections.from_points(np.array([0, 0, 1, 2]), np.zeros((4, 2)))
    links = [0, 1, 2], [2, 2, 3]
    score = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    graph = CandidateGraph.from_links(
        cells, *links, score, disappear=[-np.inf, 0.0, 0.0, 0.0], max_gap=max_gap
    )
    known = torch.tensor([False, False, True, True])
    found = EXACT.log_prob_partial(graph, torch.tensor([-1, -1, 1, 2]), known)
    assert found[0].item() == -torch.inf
    if max_gap == 1:
        assert found[1].exp().item() == pytest.approx(0.5)
        (gradient,) = torch.autograd.grad(found[1], score)
        assert gradient.tolist() == pytest.approx([0.0, 0.0, 0.5])
    alone = CandidateGraph.from_links(cells, [1, 2], [2, 3], [0.0, 0.0], disappear=[-np.inf, 0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="mother 0 must have a daughter"):  # whatever is known
        EXACT.log_prob_partial(alone, torch.tensor([-1, -1, 1, 2]), known)
