"""What a division scores matters to mothers that can divide, and to no others."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import tiny_problems
from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections
from torchtrack_uq.assignment import (
    AssignmentProblem,
    NonConvexDivisionError,
    k_best,
    marginals,
    sample,
    solve_map,
)
from torchtrack_uq.posterior import map_links

EVENTS = ("link", "null", "disappear", "divide")


def with_rich_divisions(problem: AssignmentProblem, score: float) -> AssignmentProblem:
    """The problem with divisions that score much at mothers with fewer than two candidate daughters."""
    finite = np.isfinite(problem.score)
    candidates = np.bincount(problem.mother[finite], minlength=problem.n_mothers)
    divide = np.where(candidates < 2, score, problem.divide)
    return AssignmentProblem(
        problem.mother, problem.daughter, problem.score, problem.appear, problem.disappear, divide
    )


@given(tiny_problems(), st.sampled_from([0.5, 7.0, 1e3, 1e9]))
def test_solvers_answer_as_if_barren_mothers_scored_nothing_for_dividing(
    problem: AssignmentProblem, score: float
) -> None:
    rich = with_rich_divisions(problem, score)
    _, weights = all_assignments(rich)
    assume(len(weights) > 0)
    assert rich.is_convex
    assert solve_map(rich).log_weight == pytest.approx(weights.max(), abs=1e-9)
    np.testing.assert_allclose(k_best(rich, 50).log_weight, np.sort(weights)[::-1][:50], atol=1e-9)
    truth = posterior(rich)
    for method in ("k_best", "component_k_best", "exact", "auto"):
        found = marginals(rich, method=method, k=len(weights) + 1)
        for name in EVENTS:
            np.testing.assert_allclose(getattr(found, name), truth[name], atol=1e-8)
        assert found.log_z == pytest.approx(truth["log_z"], abs=1e-8)
    assert sample(rich, 3, seed=0).shape == (3, rich.n_daughters)


@given(tiny_problems(convex=False), st.sampled_from([0.5, 200.0]))
def test_beside_mothers_that_should_rather_have_two_daughters_they_change_nothing_either(
    problem: AssignmentProblem, score: float
) -> None:
    rich = with_rich_divisions(problem, score)
    _, weights = all_assignments(rich)
    assume(len(weights) > 0)
    truth = posterior(rich)
    found = marginals(rich, method="exact")
    for name in EVENTS:
        np.testing.assert_allclose(getattr(found, name), truth[name], atol=1e-8)


def test_links_that_are_forbidden_are_no_candidates() -> None:
    problem = AssignmentProblem.build([0, 0], [0, 1], [0.0, -np.inf], 1, 2, -3.0, 1.0, 1.0)
    assert solve_map(problem).parent.tolist() == [0, -1] == k_best(problem, 1).parent[0].tolist()
    with pytest.raises(NonConvexDivisionError, match="every mother that can divide"):
        solve_map(AssignmentProblem.build([0, 0], [0, 1], 0.0, 1, 2, -3.0, 1.0, 1.0))


@pytest.mark.parametrize("max_gap", [1, 2])
@pytest.mark.parametrize("method", ["AS", "exact", "auto"])
def test_a_movie_is_not_refused_for_a_cell_that_cannot_divide(method: str, max_gap: int) -> None:
    cells = Detections.from_points(np.array([0, 0, 1, 1, 2]), np.zeros((5, 2)))
    graph = CandidateGraph.from_links(
        cells, [0, 1, 2], [2, 3, 4], [0.0, 0.0, 0.0], appear=-3.0, disappear=1.0, divide=1.0, max_gap=max_gap
    )
    assert map_links(graph).all()
    posterior = AssignmentPosterior(method)(graph)
    # each of three pairs: linked (0), or one ends and the other appears (1 - 3)
    np.testing.assert_allclose(posterior.link, 1 / (1 + np.exp(-2.0)), rtol=1e-5)
