"""Many perturbed scores of one frame pair, solved together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments
from torchtrack_uq.assignment import (
    AssignmentProblem,
    InfeasibleProblemError,
    log_weight_of,
    solve_map,
    solve_map_many,
)


def problem_and_draws(seed: int, *, appear: float, disappear: float) -> tuple[AssignmentProblem, np.ndarray]:
    """A dense frame pair of 5 mothers and 6 daughters; a third of the links is forbidden in each draw, and in it."""
    rng = np.random.default_rng(seed)
    mother, daughter = np.repeat(np.arange(5), 6), np.tile(np.arange(6), 5)
    scores = np.where(rng.uniform(size=(8, 30)) < 0.33, -np.inf, rng.normal(0, 3, (8, 30)))
    problem = AssignmentProblem.build(
        mother, daughter, scores[0], 5, 6, appear=appear, disappear=disappear, divide=-1.0
    )
    return problem, scores[1:]


@settings(max_examples=200)
@given(st.integers(0, 10_000), st.sampled_from([-3.0, -np.inf]), st.sampled_from([0.0, -np.inf]))
def test_every_draw_gets_its_own_map_whatever_it_forbids(seed: int, appear: float, disappear: float) -> None:
    problem, draws = problem_and_draws(seed, appear=appear, disappear=disappear)
    alone = []
    for row in draws:
        try:
            alone.append(solve_map(replace(problem, score=row)).log_weight)
        except InfeasibleProblemError:
            alone.append(None)
    if None in alone:
        with pytest.raises(InfeasibleProblemError):
            solve_map_many(problem, draws)
        return
    together = solve_map_many(problem, draws)
    for row, weight, found in zip(draws, alone, together, strict=True):
        assert found.log_weight == pytest.approx(weight, abs=1e-9)
        assert log_weight_of(replace(problem, score=row), found.parent) == pytest.approx(weight, abs=1e-9)


def test_a_mother_who_must_have_a_daughter_gets_one_whatever_the_draws_cost() -> None:
    problem = AssignmentProblem.build([0], [0], [-1.0], 1, 1, appear=1.0, disappear=-np.inf, divide=-np.inf)
    assert [a.parent.tolist() for a in solve_map_many(problem, [[-4.5], [-400.0]])] == [[0], [0]]
    with pytest.raises(InfeasibleProblemError):
        solve_map_many(problem, [[-4.5], [-np.inf]])


@settings(max_examples=300)
@given(st.integers(0, 100_000))
def test_whatever_events_are_forbidden_draws_get_the_best_that_is_feasible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 4, 2)
    mother, daughter = np.repeat(np.arange(m), n), np.tile(np.arange(n), m)

    def scores(*shape: int) -> np.ndarray:
        values = rng.normal(0, rng.choice([1.0, 30.0]), shape)
        return np.where(rng.uniform(size=shape) < 0.3, -np.inf, values)

    disappear = scores(m)
    divide = np.minimum(scores(m), -np.where(np.isfinite(disappear), disappear, 0.0))
    problem = AssignmentProblem.build(mother, daughter, scores(m * n), m, n, scores(n), disappear, divide)
    draws = scores(3, m * n)
    best = [all_assignments(replace(problem, score=row))[1].max(initial=-np.inf) for row in draws]
    if not np.isfinite([*best, all_assignments(problem)[1].max(initial=-np.inf)]).all():
        try:
            found = solve_map_many(problem, draws)
        except InfeasibleProblemError:
            return
        assert np.isfinite(best).all()  # only the problem's own scores are infeasible
    else:
        found = solve_map_many(problem, draws)
    for row, weight, assignment in zip(draws, best, found, strict=True):
        assert log_weight_of(replace(problem, score=row), assignment.parent) == pytest.approx(
            weight, abs=1e-9
        )


def test_a_link_that_only_a_draw_offers_is_found() -> None:
    problem = AssignmentProblem.build([0], [0], [-np.inf], 1, 1, appear=-5.0)
    assert [a.parent.tolist() for a in solve_map_many(problem, [[-1.0], [-np.inf]])] == [[0], [-1]]


def test_scores_too_large_for_a_stand_in_are_solved_one_by_one() -> None:
    problem = AssignmentProblem.build([0, 1], [0, 0], [9e8, 8e8], 2, 1, appear=-5.0)
    draws = [[-np.inf, 8e8], [9e8, 8e8], [-np.inf, -np.inf]]
    assert [a.parent.tolist() for a in solve_map_many(problem, draws)] == [[1], [0], [-1]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_none_are_refused(bad: float) -> None:
    problem = AssignmentProblem.build([0], [0], [0.0], 1, 1)
    with pytest.raises(ValueError, match="got NaN or"):
        solve_map_many(problem, [[bad]])
