import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments
from tests.support.problems import standard_instance, tiny_problems
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    InfeasibleProblemError,
    NonConvexDivisionError,
    k_best,
    log_weight_of,
    solve_map,
)

many = settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(tiny_problems(), st.sampled_from([1, 2, 3, 7, 20, 5000]))
def test_k_best_are_the_best_of_all_assignments(problem, k):
    parents, weights = all_assignments(problem)
    if weights.size == 0:
        with pytest.raises(InfeasibleProblemError):
            k_best(problem, k)
        return
    best = k_best(problem, k)
    expected = np.sort(weights)[::-1][:k]
    np.testing.assert_allclose(best.log_weight, expected, atol=1e-9, rtol=0)
    assert (np.diff(best.log_weight) <= 0).all()
    assert len(np.unique(best.parent, axis=0)) == len(best.parent) == min(k, weights.size)
    listed = {tuple(p): w for p, w in zip(parents.tolist(), weights, strict=True)}
    for parent, weight in zip(best.parent.tolist(), best.log_weight, strict=True):
        assert weight == pytest.approx(listed[tuple(parent)], abs=1e-9)
    assert best.is_complete == (weights.size < k) or weights.size == k


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.5, 1.0]))
def test_k_best_of_larger_problems_equals_enumeration(seed, sigma):
    problem = standard_instance(7, sigma, seed, k_nearest=3)
    _, weights = all_assignments(problem)
    np.testing.assert_allclose(k_best(problem, 500).log_weight, np.sort(weights)[::-1][:500], atol=1e-9)


@pytest.mark.parametrize(("n", "k", "sigma"), [(50, 10_000, 0.3), (300, 1_000, 0.5), (40, 3_000, 2.0)])
def test_large_k_ends_with_distinct_assignments_of_the_stated_log_weight(n, k, sigma):
    problem = standard_instance(n, sigma)
    best = k_best(problem, k)
    assert best.n_assignments == k
    assert len(np.unique(best.parent, axis=0)) == k
    assert (np.diff(best.log_weight) <= 0).all()
    for r in range(0, k, k // 50):
        assert log_weight_of(problem, best.parent[r]) == pytest.approx(best.log_weight[r], abs=1e-9)


def test_the_first_of_k_best_is_the_map():
    problem = standard_instance(200, 0.3)
    assert np.array_equal(k_best(problem, 3).parent[0], solve_map(problem).parent)


def test_k_best_does_not_depend_on_the_order_of_links_daughters_or_mothers():
    problem = standard_instance(40, 0.4)
    rng = np.random.default_rng(0)
    links, mothers, daughters = (
        rng.permutation(size) for size in (problem.n_links, problem.n_mothers, problem.n_daughters)
    )
    renamed = AssignmentProblem(
        np.argsort(mothers)[problem.mother[links]], np.argsort(daughters)[problem.daughter[links]],
        problem.score[links], problem.appear[daughters], problem.disappear[mothers], problem.divide[mothers],
    )  # fmt: skip
    first, second = k_best(problem, 300), k_best(renamed, 300)
    np.testing.assert_allclose(first.log_weight, second.log_weight, atol=1e-9)
    back = np.full_like(second.parent, -1)
    back[:, daughters] = np.where(second.parent >= 0, mothers[second.parent], -1)
    assert {tuple(p) for p in back.tolist()} == {tuple(p) for p in first.parent.tolist()}


def test_dividing_mothers_are_not_listed_twice():
    problem = AssignmentProblem.build([0, 0, 1, 1], [0, 1, 2, 3], 0.0, 2, 4, appear=-20.0)
    best = k_best(problem, 3)
    assert best.log_weight[0] == 0.0
    assert best.log_weight[1] == -20.0


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
        k_best(standard_instance(3, 0.3), k)


def test_k_best_refuses_non_convex_divisions():
    with pytest.raises(NonConvexDivisionError, match="mothers 0"):
        k_best(AssignmentProblem.build([0, 0], [0, 1], 0.0, 1, 2, divide=1.0), 2)


def test_k_best_names_the_component_that_is_too_large():
    with pytest.raises(EliminationTooLargeError, match=r"\d+ daughters and a frontier of \d+ mothers"):
        k_best(standard_instance(60, 2.0), 10_000, memory_limit=10_000)
