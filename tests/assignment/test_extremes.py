"""Answers and what they claim to be where scores are far apart, frames long and thin, crowded or large."""

import numpy as np
import pytest

from tests.support.brute_force import posterior
from tests.support.hostile_problems import hostile_problem, wrong_answers
from tests.support.problems import standard_instance
from torchtrack_uq.assignment import AssignmentProblem, marginals


@pytest.mark.parametrize("block", range(4))
def test_no_solver_crashes_or_claims_what_enumeration_contradicts(block: int) -> None:
    """Scores up to 1e9 T and down to 1e-300, ties, -inf everywhere, infeasible and not convex."""
    for seed in range(500 * block, 500 * (block + 1)):
        assert not list(wrong_answers(*hostile_problem(seed))), seed


@pytest.mark.parametrize("value", [1e300, -1e300, np.inf, np.nan])
def test_scores_that_floating_point_cannot_add_up_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        AssignmentProblem.build([0], [0], [value], 1, 1)
    with pytest.raises(ValueError, match="must be finite"):
        AssignmentProblem.build([0], [0], [0.0], 1, 1, appear=value)


def test_the_best_alone_is_not_called_everything_beside_a_tie_far_above_the_rest() -> None:
    """A division worth 800 nats for two of three daughters: three assignments tie, 2/3 for each link."""
    problem = AssignmentProblem.build([0, 0, 0], [0, 1, 2], [0.0, 0.0, 0.0], 1, 3, -800.0, -1600.0, 800.0)
    assert problem.is_convex
    truth = posterior(problem)
    np.testing.assert_allclose(truth["link"], 2 / 3)
    one = marginals(problem, method="k_best", k=1)
    assert not one.exact
    assert one.error_bound >= 1 / 3 - 1e-9
    np.testing.assert_allclose(marginals(problem).link, 2 / 3, atol=1e-9)


@pytest.mark.parametrize("gap", [500.0, 600.0, 5000.0])
def test_a_second_daughter_that_is_far_likelier_than_a_first(gap: float) -> None:
    problem = AssignmentProblem.build(
        [0, 0, 1, 1], [0, 1, 0, 1], [0.0, 1.0, 0.5, 0.2], 2, 2, -3.0, -2.0, [gap, -1.0]
    )
    assert not problem.is_convex
    truth = posterior(problem)
    for method in ("exact", "auto"):
        found = marginals(problem, method=method)
        assert found.exact
        for name in ("link", "null", "disappear", "divide"):
            np.testing.assert_allclose(getattr(found, name), truth[name], atol=1e-9)


def chain(n: int, score: np.ndarray | float, seed: int = 0) -> AssignmentProblem:
    """Cell j descends from cell j - 1 or j: a row of cells, as in a mother machine."""
    mother = np.repeat(np.arange(n), 2)[:-1]
    daughter = np.concatenate([[0], np.repeat(np.arange(1, n), 2)])
    return AssignmentProblem.build(
        mother, daughter, np.broadcast_to(score, mother.shape), n, n, -1.0, -1.0, -1.0
    )


@pytest.mark.parametrize("n", [100, 1000, 2000])
@pytest.mark.parametrize("method", ["exact", "auto"])
def test_rows_of_cells_are_summed_without_dropping_anything(n: int, method: str) -> None:
    for score in (0.0, np.random.default_rng(n).normal(size=2 * n - 1)):
        problem = chain(n, score)
        found = marginals(problem, method=method)
        assert found.exact
        assert found.error_bound == 0.0
        assert found.covered_mass == pytest.approx(1.0)
        without = marginals(problem, method="exact", tolerance=0.0)
        np.testing.assert_allclose(found.link, without.link, atol=1e-12)
        assert found.log_z == pytest.approx(without.log_z, abs=1e-9)


@pytest.mark.parametrize(("n", "sigma"), [(200, 0.15), (1000, 0.15), (1000, 0.18), (5000, 0.15)])
def test_log_z_is_within_its_bound_of_what_a_tighter_sum_gives(n: int, sigma: float) -> None:
    problem = standard_instance(n, sigma)
    loose, tight = (marginals(problem, method="exact", tolerance=t) for t in (1e-3, 1e-5))
    assert tight.log_z_error < 0.1
    assert abs(loose.log_z - tight.log_z) <= loose.log_z_error + tight.log_z_error
    assert np.isfinite(loose.log_z_error)


def test_log_z_counts_links_that_were_dropped_and_taken_back() -> None:
    """Problems of the size that used to be off by up to 0.9 with `exact` True and bound 0."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        m, n = rng.integers(2, 5, 2)
        mother, daughter = np.divmod(np.arange(m * n), n)
        score = rng.normal(-4, 3, m * n)
        problem = AssignmentProblem.build(mother, daughter, score, m, n, -3.0, -3.0, -3.0)
        found = marginals(problem, method="exact")
        truth = posterior(problem)["log_z"]
        assert abs(found.log_z - truth) <= found.log_z_error + 1e-9, seed
        assert found.log_z_error < 0.05, seed


def test_auto_answers_at_any_size_and_calls_exact_what_is() -> None:
    """10,000 daughters: far beyond what fitted into the former limit of 1 MiB for a frame."""
    problem = standard_instance(10_000, 0.1)
    found = marginals(problem)
    assert found.exact
    exact = marginals(problem, method="exact")
    np.testing.assert_allclose(found.link, exact.link, atol=2e-3)
