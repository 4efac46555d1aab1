"""Derivatives of marginals against the covariance of all assignments, unlikely and forbidden choices included."""

import itertools

import numpy as np
import pytest

from tests.support.problems import standard_instance
from torchtrack_uq.assignment import (
    AssignmentProblem,
    Direction,
    EliminationTooLargeError,
    InfeasibleProblemError,
    marginals,
    marginals_derivative,
    rare_choices,
)


def random_problem(rng: np.random.Generator) -> AssignmentProblem:
    """Up to 4 mothers and daughters; scores of a few or of many nats, ties, and choices that are forbidden."""
    m, n = rng.integers(0, 5, 2)
    pairs = [(i, j) for i in range(m) for j in range(n) if rng.uniform() < 0.7]
    rng.shuffle(pairs)
    spread, forbid = rng.choice([0.0, 2.0, 8.0]), rng.choice([0.0, 0.1, 0.4])

    def scores(size: int) -> np.ndarray:
        values = rng.normal(0, spread, size)
        return np.where(rng.uniform(size=size) < forbid, -np.inf, values)

    disappear, divide = scores(m), scores(m)
    if rng.uniform() < 0.7:
        divide = np.minimum(divide, -np.where(np.isfinite(disappear), disappear, 0.0))
    mother, daughter = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    return AssignmentProblem.build(mother, daughter, scores(len(pairs)), m, n, scores(n), disappear, divide)


def covariance(problem: AssignmentProblem) -> tuple[np.ndarray, np.ndarray] | None:
    """Means and covariance of all choices (links, null, disappear, divide) by enumeration."""
    e, n, m = problem.n_links, problem.n_daughters, problem.n_mothers
    made, weights = [], []
    options = [[-1, *np.flatnonzero(problem.daughter == j)] for j in range(n)]
    for choice in itertools.product(*options):
        row, weight = np.zeros(e + n + 2 * m), 0.0
        load = np.zeros(m, np.int64)
        for j, link in enumerate(choice):
            row[link if link >= 0 else e + j] = 1.0
            weight += problem.score[link] if link >= 0 else problem.appear[j]
            if link >= 0:
                load[problem.mother[link]] += 1
        if load.max(initial=0) > 2:
            continue
        row[e + n : e + n + m], row[e + n + m :] = load == 0, load == 2
        weight += problem.disappear[load == 0].sum() + problem.divide[load == 2].sum()
        if weight > -np.inf:
            made.append(row)
            weights.append(weight)
    if not weights:
        return None
    p = np.exp(np.array(weights) - max(weights))
    p /= p.sum()
    rows = np.array(made)
    mean = p @ rows
    return mean, (rows * p[:, None]).T @ rows - np.outer(mean, mean)


def split(values: np.ndarray, problem: AssignmentProblem) -> Direction:
    e, n, m = problem.n_links, problem.n_daughters, problem.n_mothers
    return Direction(*np.split(values, [e, e + n, e + n + m]))


@pytest.mark.parametrize("block", range(10))
def test_a_thousand_random_graphs_agree_with_enumeration(block: int) -> None:
    checked = 0
    for seed in range(150 * block, 150 * (block + 1)):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng)
        truth = covariance(problem)
        if truth is None:
            with pytest.raises(InfeasibleProblemError):
                marginals(problem, method="exact")
            continue
        mean, hessian = truth
        direction = rng.normal(size=len(mean))
        if len(mean) and seed % 2:  # the gradient of the log-probability of a truth, however unlikely
            likely = np.flatnonzero(mean > 1e-14)
            chosen = rng.choice(likely)
            direction[:] = 0.0
            direction[chosen] = -1 / mean[chosen]
        found = marginals_derivative(problem, marginals(problem, method="exact"), split(direction, problem))
        want = hessian @ direction
        np.testing.assert_allclose(
            np.concatenate(found), want, atol=1e-8 * max(1.0, np.abs(want).max(initial=0.0))
        )
        checked += 1
    assert checked > 100


def given(problem: AssignmentProblem, link: int) -> AssignmentProblem:
    """The problem in which a link is certain."""
    other = (problem.daughter == problem.daughter[link]) & (problem.mother != problem.mother[link])
    appear = problem.appear.copy()
    appear[problem.daughter[link]] = -np.inf
    score = np.where(other, -np.inf, problem.score)
    return AssignmentProblem(
        problem.mother, problem.daughter, score, appear, problem.disappear, problem.divide
    )


@pytest.mark.parametrize("probability", [1e-2, 1e-6, 1e-12])
def test_an_unlikely_truth_in_a_frame_that_is_pruned(probability: float) -> None:
    """The gradient of log P(e) is what is expected given e less what is expected: dropped links included."""
    problem = standard_instance(200, 0.15)
    found = marginals(problem, method="exact")
    assert found.kept is not None
    assert not found.kept.all()
    below = np.flatnonzero((found.link < probability) & (found.link > probability / 1e3))
    link = int(below[np.argmax(found.link[below])])
    direction = np.zeros(problem.n_links)
    direction[link] = 1 / found.link[link]
    nothing = np.zeros(problem.n_mothers)
    along = marginals_derivative(
        problem, found, Direction(direction, np.zeros(problem.n_daughters), nothing, nothing)
    )
    tight = marginals(problem, method="exact", tolerance=1e-7)
    certain = marginals(given(problem, link), method="exact", tolerance=1e-6)
    np.testing.assert_allclose(along.link, certain.link - tight.link, atol=3e-3)
    assert along.link[link] == pytest.approx(1.0 - found.link[link], abs=3e-3)
    others = (problem.daughter == problem.daughter[link]) & (np.arange(problem.n_links) != link)
    assert along.link[others].min() < -0.9  # it takes the place of what was likely


def test_chains_of_a_thousand_have_derivatives_too() -> None:
    n = 1000
    rng = np.random.default_rng(0)
    mother, daughter = np.repeat(np.arange(n), 2)[:-1], np.concatenate([[0], np.repeat(np.arange(1, n), 2)])
    score = rng.normal(size=len(mother))
    problem = AssignmentProblem.build(mother, daughter, score, n, n, -1.0, -1.0, -1.0)
    found = marginals(problem)
    assert found.error_bound == 0.0
    direction = rng.normal(size=len(mother))
    along = marginals_derivative(problem, found, Direction(direction, np.zeros(n), np.zeros(n), np.zeros(n)))
    ahead, behind = (
        marginals(
            AssignmentProblem.build(mother, daughter, score + step * direction, n, n, -1.0, -1.0, -1.0)
        ).link
        for step in (1e-5, -1e-5)
    )
    np.testing.assert_allclose(along.link, (ahead - behind) / 2e-5, atol=1e-8)


def test_an_estimate_has_no_derivative_unless_exact_sums_fit() -> None:
    problem = standard_instance(60, 0.3)
    estimate = marginals(problem, memory_limit=1 << 20)
    assert not estimate.exact
    zeros = Direction(*(np.zeros(k) for k in (problem.n_links, problem.n_daughters, 60, 60)))
    assert np.abs(marginals_derivative(problem, estimate, zeros).link).max() == 0.0
    with pytest.raises(EliminationTooLargeError):
        marginals_derivative(problem, estimate, zeros, memory_limit=1 << 20)


@pytest.mark.parametrize("side", [4, 6])
def test_grids_where_every_cell_may_have_come_from_each_neighbour(side: int) -> None:
    cells = np.indices((side, side)).reshape(2, -1).T
    near = np.abs(cells[:, None] - cells[None]).sum(axis=2) <= 1
    mother, daughter = np.nonzero(near)
    n = side * side
    rng = np.random.default_rng(side)
    score, direction = rng.normal(0, 2, (2, len(mother)))

    def moved(step: float) -> AssignmentProblem:
        return AssignmentProblem.build(mother, daughter, score + step * direction, n, n, -4.0, -4.0, -2.0)

    found = marginals(moved(0.0), method="exact")
    nothing = np.zeros(n)
    along = marginals_derivative(moved(0.0), found, Direction(direction, nothing, nothing, nothing))
    ahead, behind = (marginals(moved(step), method="exact", tolerance=0.0) for step in (1e-4, -1e-4))
    for name in ("link", "null", "disappear", "divide"):
        difference = (getattr(ahead, name) - getattr(behind, name)) / 2e-4
        np.testing.assert_allclose(getattr(along, name), difference, atol=3e-3)


def test_many_unlikely_truths_together_have_the_derivative_that_they_have_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = standard_instance(300, 0.12)
    found = marginals(problem, method="exact")
    rng = np.random.default_rng(0)
    rare = rng.choice(np.flatnonzero((found.link < 1e-3) & (found.link > 1e-14)), 60, replace=False)
    direction = np.zeros(problem.n_links)
    direction[rare] = -1 / found.link[rare]
    nothing = np.zeros(problem.n_mothers)
    along = Direction(direction, np.zeros(problem.n_daughters), nothing, nothing)
    together = marginals_derivative(problem, found, along)

    def one_by_one(problem, at, rare):
        first = np.arange(len(rare.daughter)) == 0
        return first, np.zeros(problem.n_daughters, np.int64), np.zeros(problem.n_mothers, np.int64)

    monkeypatch.setattr(rare_choices, "_apart", one_by_one)
    apart = marginals_derivative(problem, found, along)
    for name, values in together._asdict().items():
        np.testing.assert_allclose(values, getattr(apart, name), atol=6e-2)
        assert np.abs(values - getattr(apart, name)).mean() < 1e-3
