"""Draws of any problem: chains have the posterior as their distribution, and components are independent."""

import numpy as np
import pytest

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import colony, standard_instance
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    automatic_sampling,
    log_weight_of,
    marginals,
    sample,
)
from torchtrack_uq.assignment.automatic_sampling import _redraw, sample_automatic
from torchtrack_uq.assignment.drawn_parents import DrawnParents
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.pruned import gauge_of
from torchtrack_uq.assignment.types import IntArray


def small(seed: int, **events: float) -> AssignmentProblem:
    rng = np.random.default_rng(seed)
    m, n = 3, 4
    mother, daughter = np.nonzero(rng.random((m, n)) < 0.8)
    return AssignmentProblem.build(mother, daughter, rng.normal(0, 2, len(mother)), m, n, **events)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "events",
    [
        {"appear": -1.0, "disappear": -0.5, "divide": 0.2},
        {"appear": -6.0, "disappear": -6.0, "divide": -np.inf},
    ],
)
def test_chains_visit_every_assignment_as_often_as_it_is_probable(
    seed: int, events: dict[str, float]
) -> None:
    problem = small(seed, **events)
    parents, weights = all_assignments(problem)
    p = np.exp(weights - posterior(problem)["log_z"])
    n = 20_000
    start = np.repeat(parents[[p.argmin()]], n, axis=0)  # from where nobody wants to be
    draws = DrawnParents.of(problem.links, start)
    chain = np.arange(n) * 4 // n
    everything = np.ones(problem.n_links, bool)
    _redraw(
        problem,
        everything,
        gauge_of(problem, gap_model(problem), 1.0),
        draws,
        chain,
        np.random.default_rng(1),
    )
    drawn = draws.rows(0, n)
    count = {tuple(row): 0 for row in parents.tolist()}
    for row, times in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True):
        count[tuple(row.tolist())] += int(times)  # one that is none raises KeyError
    found = np.array([count[tuple(row)] for row in parents.tolist()]) / n
    assert np.abs(found - p).max() < 0.02


def test_forbidden_choices_are_never_drawn() -> None:
    """Both cells must have mothers, and the first mother a daughter."""
    problem = AssignmentProblem.build(
        [0, 0, 1, 1], [0, 1, 0, 1], [0.0, -1.0, 0.5, 0.0], 2, 2, appear=-np.inf, disappear=[-np.inf, -2.0]
    )
    parents, weights = all_assignments(problem)
    draws = DrawnParents.of(problem.links, np.repeat(parents[[0]], 5000, axis=0))
    gauge = gauge_of(problem, gap_model(problem, allow_non_convex=True), 1.0)
    _redraw(problem, np.ones(4, bool), gauge, draws, np.zeros(5000, int), np.random.default_rng(0))
    drawn = draws.rows(0, 5000)
    assert (drawn >= 0).all()
    assert (drawn == 0).any(axis=1).all()
    p = np.exp(weights - np.logaddexp.reduce(weights))
    found = np.array([(drawn == parent).all(axis=1).mean() for parent in parents])
    np.testing.assert_allclose(found, p, atol=0.03)


def test_chains_agree_with_sums_where_many_cells_compete() -> None:
    problem = standard_instance(14, 0.5, seed=2)
    truth = marginals(problem, method="exact")
    assert truth.exact
    draws = DrawnParents.of(problem.links, sample(problem, 2000, seed=1))
    gauge = gauge_of(problem, gap_model(problem), 1.0)
    offered = np.ones(problem.links.mother.size, bool)
    _redraw(problem, offered, gauge, draws, np.arange(2000) // 200, np.random.default_rng(0))
    drawn = draws.rows(0, 2000)
    link = (drawn[:, problem.daughter] == problem.mother).mean(axis=0)
    assert np.abs(link - truth.link).max() < 0.06
    assert np.abs(link - truth.link).mean() < 0.005


def test_what_is_too_ambiguous_to_be_summed_over_is_drawn_all_the_same() -> None:
    problem = standard_instance(60, 0.5, seed=2)
    with pytest.raises(EliminationTooLargeError):
        sample(problem, 1, memory_limit=1 << 24)
    draws = sample_automatic(problem, 300, seed=3)
    assert not draws.exact.all()
    for parent in draws.parent[::30]:
        assert log_weight_of(problem, parent) > -np.inf
    link = (draws.parent[:, problem.daughter] == problem.mother).mean(axis=0)
    assert np.abs(link - marginals(problem).link).mean() < 0.02  # both estimate
    np.testing.assert_array_equal(draws.parent, sample_automatic(problem, 300, seed=3).parent)


def test_components_are_those_of_cells_that_compete() -> None:
    """Two pairs far apart, in which cells may have changed places, and one daughter whom nobody can be mother of."""
    mother, daughter = [0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 0, 1, 2, 3, 2, 3]
    problem = AssignmentProblem.build(mother, daughter, np.zeros(8), 4, 5, -3.0, -3.0, -3.0)
    draws = sample_automatic(problem, 4000, seed=0)
    of = draws.daughter_component.tolist()
    assert of[0] == of[1] != of[2] == of[3] != of[4]
    assert draws.mother_component.tolist() == [of[0], of[0], of[2], of[2]]
    assert draws.exact.all()
    first, second = (draws.parent[:, j] == i for j, i in ((0, 0), (2, 2)))
    assert abs((first & second).mean() - first.mean() * second.mean()) < 0.03


def test_draws_are_kept_whole_where_a_daughter_has_more_links_than_a_byte_counts() -> None:
    problem = AssignmentProblem.build(np.arange(300), np.zeros(300, int), np.zeros(300), 300, 2)
    parent = np.stack([np.arange(-1, 300), np.full(301, -1)], axis=1)
    draws = DrawnParents.of(problem.links, parent)
    assert draws.rank.dtype == np.uint16
    np.testing.assert_array_equal(draws.rows(0, 301), parent)
    np.testing.assert_array_equal(draws.rows(255, 258), parent[255:258])
    assert set(sample(problem, 3000)[:, 0].tolist()) == set(range(-1, 300))


def test_draws_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    some, crowded = colony(30, n=20), standard_instance(60, 0.5, seed=2)
    for at_once in (7, 50_000):  # in many blocks, and in one
        monkeypatch.setattr(automatic_sampling, "DAUGHTERS_AT_ONCE", at_once)
        for problem in (some, crowded):
            alone, together = (_with_threads(monkeypatch, problem, n) for n in (1, 8))
            np.testing.assert_array_equal(alone, together)


def _with_threads(monkeypatch: pytest.MonkeyPatch, problem: AssignmentProblem, n: int) -> IntArray:
    monkeypatch.setattr(automatic_sampling, "available_cores", lambda: n)
    return sample_automatic(problem, 60, seed=3, many_frames=True).parent


def test_blocks_are_drawn_as_often_as_the_posterior_says_and_independently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two copies of one problem in blocks of their own: were their random numbers the same, draws would be as well."""
    monkeypatch.setattr(automatic_sampling, "DAUGHTERS_AT_ONCE", 1)
    score = np.array([1.0, 0.5, 0.2, 0.9])
    problem = AssignmentProblem.build(
        [0, 1, 0, 1, 2, 3, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3], np.tile(score, 2), 4, 4, appear=-0.5
    )
    n, parent = 20_000, sample_automatic(problem, 20_000, seed=1).parent
    expected = marginals(problem).link
    found = [(parent[:, j] == i).mean() for i, j in zip(problem.mother, problem.daughter, strict=True)]
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(0.25 / n))
    first, second = parent[:, 0] == 0, parent[:, 2] == 2
    assert abs((first & second).mean() - first.mean() * second.mean()) < 5 * 0.25 / np.sqrt(n)


@pytest.mark.parametrize("arcs", [40, 120, 600])
def test_components_that_do_not_fit_beside_the_others_are_drawn_after_them(
    monkeypatch: pytest.MonkeyPatch, arcs: int
) -> None:
    n = 30  # pairs that may change places, some with a third cell beside them
    own, other = np.arange(2 * n), np.arange(2 * n) ^ 1
    mother, daughter = np.concatenate([own, other]), np.concatenate([own, own])
    score = np.concatenate([np.zeros(2 * n), np.full(2 * n, -0.5)])
    wide = np.arange(0, 2 * n - 3, 8)
    problem = AssignmentProblem.build(
        np.concatenate([mother, wide + 2]), np.concatenate([daughter, wide]), np.concatenate([score, wide * 0.0]),
        2 * n, 2 * n, appear=-3.0, disappear=-3.0, divide=-3.0,
    )  # fmt: skip
    monkeypatch.setattr(automatic_sampling, "MEMORY_LIMIT", arcs * automatic_sampling.BYTES_PER_ARC)
    monkeypatch.setattr(
        automatic_sampling, "_redraw", lambda *_: None
    )  # what is drawn must be right as it is
    draws = sample_automatic(problem, 4000, many_frames=True)
    exact = marginals(problem, method="exact", tolerance=0.0)
    fits = draws.exact[draws.daughter_component]
    assert fits.mean() >= (0.4 if arcs == 40 else 0.99)
    none = (draws.parent < 0).mean(axis=0)
    np.testing.assert_allclose(none[fits], exact.null[fits], atol=0.05)
    linked = (draws.parent == np.arange(2 * n)).mean(axis=0)
    np.testing.assert_allclose(linked[fits], exact.link[: 2 * n][fits], atol=0.05)
    # what is too large on its own is drawn from the MAP
    assert (none[~fits] < 0.5).all()
