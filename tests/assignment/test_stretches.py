"""A movie that is summed stretch by stretch: bounds hold in the whole, whatever a stretch cannot see."""

import threading

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.strips import beyond_bounds, strip
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    automatic,
    cuts,
    marginals,
    stretches,
)
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.kernels.dropped_links import weigh_uses
from torchtrack_uq.assignment.pruned import Share
from torchtrack_uq.utils import cores

SHARE = Share(60_000, 300)
LIMIT = 1 << 30


@pytest.fixture
def short(monkeypatch):
    def shorten(least=20, margin=2):
        monkeypatch.setattr(cuts, "LEAST", least)
        monkeypatch.setattr(cuts, "MARGIN", margin)
        monkeypatch.setattr(cuts, "OF_MARGIN", 4)
        monkeypatch.setattr(automatic, "lose_by_cuts", lambda *_: False)  # strips are narrow

    shorten()
    return shorten


def by_stretches(problem, tolerance=1e-3, share=SHARE):
    return automatic._by_clusters(problem, 1.0, tolerance, LIMIT, share)


def cut(problem):
    return cuts.stretches_of(problem, gap_model(problem).solution.chosen)


def assert_bounds_hold(problem, found, exact):
    assert (beyond_bounds(problem, found, exact) <= 1e-9).all()  # rounding


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6), st.sampled_from([0.3, 1.5, 6.0]), st.integers(2, 4), st.sampled_from([1e-3, 0.2]), st.data()
)  # fmt: skip
def test_what_is_proved_of_a_stretch_holds_in_the_strip(seed, spread, margin, tolerance, data):
    problem = strip(90, 4, seed, spread)
    # links that no stretch may sum over all of: what it drops then must be accounted for
    share = data.draw(st.sampled_from([SHARE, Share(200, 2), Share(30, 0.5)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "LEAST", 15)
        patch.setattr(cuts, "MARGIN", margin)
        patch.setattr(cuts, "OF_MARGIN", 4)
        patch.setattr(automatic, "lose_by_cuts", lambda *_: False)
        event(f"{min(len(cut(problem)), 4)} stretches")
        found = by_stretches(problem, tolerance, share)
    exact = marginals(problem, method="exact", tolerance=0.0)
    assert_bounds_hold(problem, found, exact)
    event(f"{np.mean(found.daughter_error <= tolerance):.1f} proved")
    rows = np.bincount(problem.daughter, found.link, problem.n_daughters) + found.null
    np.testing.assert_allclose(rows, 1.0, atol=1e-9)


@pytest.mark.parametrize("slack", [0.0, 0.5, 3.0])
def test_a_choice_that_reaches_through_the_whole_movie_is_not_proved_by_a_stretch(short, slack):
    # every cell is taken by its own mother, or all by the one before: one end decides about the other
    n = 300
    daughter = np.repeat(np.arange(n), 2)[1:]
    mother = daughter - np.tile([1, 0], n)[1:]
    score = np.where(mother == daughter, 0.0, slack / n)
    problem = AssignmentProblem.build(
        mother, daughter, score, n, n, appear=-12.0, disappear=-12.0, divide=-30.0
    )
    short(least=30, margin=4)
    assert len(cut(problem)) > 3
    found = by_stretches(problem)
    assert_bounds_hold(problem, found, marginals(problem, method="exact", tolerance=0.0))


@pytest.mark.parametrize("seed", range(3))
def test_a_calm_movie_is_what_it_is_in_one_go(short, monkeypatch, seed):
    short(margin=4)
    problem = strip(300, 4, seed, spread=8.0)
    assert len(cut(problem)) > 3
    found = by_stretches(problem)
    exact = marginals(problem, method="exact", tolerance=0.0)
    assert_bounds_hold(problem, found, exact)
    monkeypatch.setattr(automatic, "stretches_of", lambda *_: [])
    whole = by_stretches(problem)
    assert np.mean(found.daughter_error <= 1e-3) == np.mean(whole.daughter_error <= 1e-3)
    assert found.log_z == pytest.approx(whole.log_z, abs=1e-3)
    assert found.log_z == pytest.approx(exact.log_z, abs=0.1)
    assert found.log_z_error == np.inf
    np.testing.assert_allclose(found.link, whole.link, atol=2e-3)
    np.testing.assert_allclose(found.disappear, whole.disappear, atol=2e-3)


def test_cuts_go_where_links_over_gaps_alone_cross(short):
    problem = strip(100, 5, 0)
    first, _ = cuts.first_and_last(problem)
    starts = np.unique(first)  # a frame's first cell is the first daughter of some mother
    assert {stretch.first for stretch in cut(problem)} <= set(starts)


def test_stretches_share_out_the_daughters_and_hold_their_margins(short):
    problem = strip(200, 5, 1)
    found = cut(problem)
    assert [s.first for s in found] == [0, *(s.last for s in found[:-1])]
    assert found[-1].last == problem.n_daughters
    assert all(s.low <= s.first < s.last <= s.high for s in found)


def test_it_does_not_matter_how_many_threads_there_are(short, monkeypatch):
    problem = strip(120, 6, 5, spread=0.5)
    found = []
    for n in (1, 2, 5):
        monkeypatch.setattr(cores, "available_cores", lambda n=n: n)
        found.append(by_stretches(problem, share=Share(200, 2)))
    for other in found[1:]:
        for name in (
            "link",
            "null",
            "disappear",
            "divide",
            "daughter_error",
            "mother_error",
            "kept",
            "log_z",
        ):
            np.testing.assert_array_equal(getattr(found[0], name), getattr(other, name))


@pytest.mark.parametrize("event", ["appear", "disappear"])
def test_cells_that_must_be_linked_are_not_cut_off(short, event):
    problem = strip(120, 3, 2, gap=True)
    scores = getattr(problem, event).copy()
    linked = np.unique(problem.daughter if event == "appear" else problem.mother)
    scores[linked[len(linked) // 2]] = -np.inf
    problem = strip(120, 3, 2, gap=True, **{event: scores})
    assert len(cut(problem)) > 1
    found = by_stretches(problem)
    assert_bounds_hold(problem, found, marginals(problem, method="exact", tolerance=0.0))
    assert found.log_z_error < np.inf  # in one go


def test_frames_without_links_and_daughters_in_any_order_are_summed(short):
    calm = strip(60, 4, 7)
    away = np.isin(calm.daughter, np.arange(80, 130)) | np.isin(calm.mother, np.arange(80, 130))
    score = np.where(away, -np.inf, calm.score)
    for order in (np.arange(calm.n_daughters), np.random.default_rng(0).permutation(calm.n_daughters)):
        problem = AssignmentProblem.build(
            calm.mother, order[calm.daughter], score, calm.n_mothers, calm.n_daughters, -2.0, -2.0, -4.0
        )
        assert_bounds_hold(problem, by_stretches(problem), marginals(problem, method="exact", tolerance=0.0))


def test_an_error_in_a_stretch_is_raised_and_nobody_waits_for_what_it_would_have_proved(short, monkeypatch):
    problem = strip(120, 4, 9)
    calls = []

    def fail(*arguments):
        calls.append(threading.current_thread().name)
        raise MemoryError("no memory left")

    monkeypatch.setattr(stretches, "marginals_by_clusters", fail)
    with pytest.raises(MemoryError, match="no memory left"):
        by_stretches(problem)
    assert calls


def test_a_stretch_that_does_not_fit_names_the_limit_that_was_given(short):
    problem = strip(300, 6, 3, spread=0.01)
    with pytest.raises(
        EliminationTooLargeError, match=r"memory_limit=2000 bytes are shared by \d+ stretches"
    ):
        marginals(problem, method="auto", memory_limit=2000, many_frames=True)


def channels(n_frames, n_channels, per_channel, seed, spread, event, gap):
    """Cells that change places within their channel, linked to those of the next two frames there."""
    generator = np.random.default_rng(seed)
    cell = np.arange(n_frames * n_channels * per_channel).reshape(n_frames, n_channels, per_channel)
    place = generator.uniform(0, per_channel, cell.size)
    ends = []
    for step in (1, 2):
        mother = np.repeat(cell[:-step], per_channel, axis=2).ravel()
        ends.append(
            (mother, np.tile(cell[step:], (1, 1, per_channel)).ravel(), np.full(mother.size, step - 1))
        )
    mother, daughter, skipped = (np.concatenate(column) for column in zip(*ends, strict=True))
    score = 5.0 - spread * (place[mother] - place[daughter]) ** 2 + generator.normal(0, 1.5, mother.size)
    return AssignmentProblem.build(
        mother, daughter, score + gap * skipped, cell.size, cell.size, event, event, -30.0
    )


def test_movies_of_narrow_channels_are_not_cut(monkeypatch):
    monkeypatch.setattr(cuts, "LEAST", 400)
    problem = channels(300, 10, 2, 0, 1.5, -6.0, -3.0)
    assert len(cut(problem)) > 3
    found = by_stretches(problem)
    assert found.log_z_error < np.inf
    assert (found.daughter_error <= 1e-3).all()


@pytest.mark.parametrize("event", [-6.0, -15.0, -30.0])
def test_cells_that_are_cut_off_against_all_odds_leave_numbers(short, event):
    # the MAP links a daughter outside, and to have no mother is e^-40 as likely: messages of e^40 come from her
    problem = channels(120, 4, 2, 1, 1.5, event, 0.0)
    assert len(cut(problem)) > 3
    with np.errstate(over="raise", invalid="raise"):
        found = by_stretches(problem)
    assert all(np.isfinite(getattr(found, name)).all() for name in ("link", "null", "disappear", "divide"))
    assert np.isfinite(found.log_z)
    rows = np.bincount(problem.daughter, found.link, problem.n_daughters) + found.null
    np.testing.assert_allclose(rows, 1.0, atol=1e-6)


def test_draws_do_not_count_on_components_that_two_stretches_sum_differently(short):
    problem = strip(120, 4, 11)
    keep = np.ones(problem.links.mother.size, np.bool_)
    first, _ = cuts.first_and_last(problem)
    starts = [stretch.first for stretch in cut(problem)]
    assert not any(
        part.any() for part in stretches._torn(problem, keep, np.zeros(0, np.int64), first, starts)
    )
    torn = stretches._torn(problem, keep, np.array([0]), first, starts)
    assert torn[0][problem.links.daughter[0]]
    within = stretches._torn(problem, keep, np.array([0]), first, [0])
    assert not within[0].any()
    assert not within[1].any()


def test_links_that_another_stretch_keeps_are_used_with_the_sum_of_their_probabilities():
    # links 1 and 2 are kept elsewhere, where D of daughters 1 and 2 is proved with them
    mother, daughter = np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0])
    of_mother, of_daughter = np.array([0, 0, 0, 1]), np.array([1, 1, 0, 1])
    link, room, worth = np.array([0.2, 0.1, 0.3, 0.4]), np.array([2.0, 1.0]), np.array([4.0, 100.0, 100.0])
    elsewhere, floor = np.array([False, True, True, False]), np.array([1.0, 1.0, 2.0])
    sums = used, inside, _, at_mother = np.zeros((4, 2))

    def weigh():
        links = mother, daughter, of_mother, of_daughter, link
        weigh_uses(*links, room, worth, elsewhere, floor, np.ones(2, np.bool_), *sums)

    weigh()
    each = link[1:3] * room[0] / floor[1:3]
    assert used == pytest.approx([np.log1p(0.2 * 2 / 4) - np.log1p(-each.sum()), np.log1p(0.4 / 4)])
    assert list(inside) == [np.inf, pytest.approx(np.log1p(0.4 / 4))]
    assert list(at_mother) == [np.inf, pytest.approx(np.log1p(0.4 / 4))]
    floor[1] = 0.2  # the two together are used for sure, as far as anybody knows
    weigh()
    assert used[0] == np.inf
