"""Draws from the posterior have the posterior's frequencies."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import standard_instance, tiny_problems
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    InfeasibleProblemError,
    log_weight_of,
    marginals,
    sample,
)


@settings(max_examples=60)
@given(tiny_problems())
def test_every_draw_is_feasible_and_frequencies_are_the_marginals(problem: AssignmentProblem) -> None:
    if not len(all_assignments(problem)[1]):
        with pytest.raises(InfeasibleProblemError):
            sample(problem, 1)
        return
    draws, truth = sample(problem, 4000, seed=1), posterior(problem)
    assert draws.shape == (4000, problem.n_daughters)
    for parent in draws[:20]:
        assert log_weight_of(problem, parent) > -np.inf
    link = (draws[:, problem.daughter] == problem.mother).mean(axis=0)
    np.testing.assert_allclose(link, truth["link"], atol=0.05)
    load = (draws[:, :, None] == np.arange(problem.n_mothers)).sum(axis=1)
    np.testing.assert_allclose((load == 2).mean(axis=0), truth["divide"], atol=0.05)


def test_joint_frequencies_of_whole_assignments_are_their_probabilities() -> None:
    problem = AssignmentProblem.build(
        [0, 0, 1, 1], [0, 1, 0, 1], [1.0, 0.5, 0.2, 0.9], 2, 2, -1.0, -0.5, -0.3
    )
    parents, weights = all_assignments(problem)
    p = np.exp(weights - posterior(problem)["log_z"])
    draws = sample(problem, 50_000, temperature=1.0, seed=3)
    seen = np.array([(draws == parent).all(axis=1).mean() for parent in parents])
    assert np.abs(seen - p).max() < 5 * np.sqrt(0.25 / 50_000)


def test_draws_of_a_large_frame_agree_with_its_marginals_and_repeat() -> None:
    problem = standard_instance(300, 0.15)
    draws = sample(problem, 2000, seed=5)
    link = (draws[:, problem.daughter] == problem.mother).mean(axis=0)
    np.testing.assert_allclose(link, marginals(problem).link, atol=0.06)
    np.testing.assert_array_equal(draws, sample(problem, 2000, seed=5))


def test_what_cannot_be_summed_is_refused() -> None:
    with pytest.raises(EliminationTooLargeError):
        sample(standard_instance(60, 0.5), 1, memory_limit=1 << 20)
    with pytest.raises(ValueError, match="at least 1"):
        sample(standard_instance(3, 0.1), 0)
