import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.support.brute_force import all_assignments
from tests.support.problems import standard_instance, tiny_problems
from torchtrack_uq.assignment import (
    AssignmentProblem,
    InfeasibleProblemError,
    NonConvexDivisionError,
    log_weight_of,
    solve_map,
    solve_map_many,
)

many = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def dense_optimum(problem: AssignmentProblem) -> float:
    """Largest log-weight by scipy on the dense matrix with copied mothers and dummies for the events."""
    n, m = problem.n_daughters, problem.n_mothers
    weight = np.full((n + 2 * m, 2 * m + n), -1e6)
    for i, j, s in zip(problem.mother, problem.daughter, problem.score, strict=True):
        weight[j, i] = s
        weight[j, m + i] = s + problem.divide[i]
    weight[np.arange(n), 2 * m + np.arange(n)] = problem.appear
    idle = n + np.arange(m)
    weight[idle, np.arange(m)] = problem.disappear
    weight[n + m :, m : 2 * m] = 0.0
    weight[n:, 2 * m :] = 0.0
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return float(weight[rows, columns].sum())


@many
@given(tiny_problems())
def test_map_is_the_best_of_all_assignments(problem):
    parents, weights = all_assignments(problem)
    if weights.size == 0:
        with pytest.raises(InfeasibleProblemError):
            solve_map(problem)
        return
    solution = solve_map(problem)
    assert solution.log_weight == pytest.approx(weights.max(), abs=1e-9)
    assert (parents == solution.parent).all(axis=1).any()


@pytest.mark.parametrize("sigma", [0.15, 0.5, 1.5])
def test_map_equals_scipy_on_the_standard_instance(sigma):
    problem = standard_instance(80, sigma, seed=3)
    assert solve_map(problem).log_weight == pytest.approx(dense_optimum(problem), abs=1e-9)


@many
@given(tiny_problems(), st.integers(0, 2**32 - 1), st.booleans())
def test_warm_start_finds_the_same_log_weight(problem, seed, also_events):
    rng = np.random.default_rng(seed)

    def moved(scores, active=True):
        return scores + active * rng.normal(0, 2, scores.shape)

    divide = moved(problem.divide, also_events)
    disappear = moved(problem.disappear, also_events)
    finite = np.isfinite(disappear)
    divide[finite] = np.minimum(divide[finite], -disappear[finite])
    other = AssignmentProblem(
        problem.mother,
        problem.daughter,
        moved(problem.score),
        moved(problem.appear, also_events),
        disappear,
        divide,
    )
    try:
        first = solve_map(problem)
    except InfeasibleProblemError:
        return
    warm = solve_map(other, warm_start=first)
    assert warm.log_weight == pytest.approx(solve_map(other).log_weight, abs=1e-9)


def test_solve_map_many_solves_each_perturbation():
    problem = standard_instance(60, 0.3)
    scores = problem.score + np.random.default_rng(0).normal(0, 1, (5, problem.n_links))
    for row, solution in zip(scores, solve_map_many(problem, scores), strict=True):
        perturbed = AssignmentProblem(
            problem.mother, problem.daughter, row, problem.appear, problem.disappear, problem.divide
        )
        assert solution.log_weight == pytest.approx(dense_optimum(perturbed), abs=1e-9)


def test_map_is_the_same_on_every_run_with_ties():
    problem = AssignmentProblem.build(
        np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4), 0.0, 4, 4, -1, -1, -1
    )
    first = solve_map(problem).parent
    assert all(np.array_equal(first, solve_map(problem).parent) for _ in range(5))


def test_order_of_links_does_not_change_the_map():
    problem = standard_instance(50, 0.4)
    order = np.random.default_rng(1).permutation(problem.n_links)
    shuffled = AssignmentProblem(
        problem.mother[order], problem.daughter[order], problem.score[order],
        problem.appear, problem.disappear, problem.divide,
    )  # fmt: skip
    assert np.array_equal(solve_map(problem).parent, solve_map(shuffled).parent)


def test_second_daughter_cheaper_than_first_is_refused_by_name():
    problem = AssignmentProblem.build(
        [0, 1, 2, 2], [0, 0, 0, 1], 0.0, 3, 2, disappear=[-1, 0, 1], divide=[0.5, 0, 0.5]
    )
    with pytest.raises(NonConvexDivisionError, match=r"at 1 of them \(mothers 2\)"):
        solve_map(problem)


def test_infeasible_problems_name_the_cell():
    with pytest.raises(InfeasibleProblemError, match="daughter 1 must have a mother"):
        solve_map(AssignmentProblem.build([0], [0], 0.0, 1, 2, appear=[0, -np.inf]))
    with pytest.raises(InfeasibleProblemError, match="mother 1 must have a daughter"):
        solve_map(AssignmentProblem.build([0], [0], 0.0, 2, 1, disappear=[0, -np.inf]))


def test_warm_start_of_another_size_is_refused():
    small, large = standard_instance(5, 0.3), standard_instance(6, 0.3)
    with pytest.raises(ValueError, match="warm_start must have"):
        solve_map(large, warm_start=solve_map(small))


@pytest.mark.parametrize(
    "scores", [np.zeros(3), np.zeros((2, 2)), np.full((1, 3), np.nan), np.full((1, 3), np.inf)]
)
def test_solve_map_many_refuses_wrong_scores(scores):
    problem = AssignmentProblem.build([0, 1, 2], [0, 0, 0], 0.0, 3, 1)
    with pytest.raises(ValueError, match="scores must"):
        solve_map_many(problem, scores)


def test_log_weight_of_forbidden_assignments_is_minus_infinity():
    problem = AssignmentProblem.build([0, 0, 0], [0, 1, 2], 0.0, 2, 3)
    assert log_weight_of(problem, np.array([0, 0, 0])) == -np.inf
    assert log_weight_of(problem, np.array([1, 0, 0])) == -np.inf
    assert log_weight_of(problem, np.array([-1, 0, 0])) == 0.0
    with pytest.raises(ValueError, match="shape"):
        log_weight_of(problem, np.array([0]))
    with pytest.raises(ValueError, match="lie in"):
        log_weight_of(problem, np.array([0, 0, 2]))
