"""A movie that nobody holds as a whole: what is proved of a piece of it holds in all of it."""

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.strips import strip
from torchtrack_uq.assignment import AssignmentProblem, cuts, marginals, piece
from torchtrack_uq.assignment.piece import CannotBeCutError, marginals_of_piece
from torchtrack_uq.assignment.pruned import Share
from torchtrack_uq.assignment.stretches import NOTHING, Proved

GAP = 2


def starts_of(problem):
    """First cell of each frame, of a strip whose cells are mothers and daughters alike."""
    first, _ = cuts.first_and_last(problem)
    linked = np.unique(first[np.unique(problem.mother)])
    return np.array([0, *linked, problem.n_daughters])


def cut_out(problem, begin, end):
    """The cells `begin` to `end` as a problem of their own."""
    here = (problem.mother >= begin) & (problem.daughter < end)
    cells = slice(begin, end)
    return AssignmentProblem(
        problem.mother[here] - begin, problem.daughter[here] - begin, problem.score[here], problem.appear[cells],
        problem.disappear[cells], problem.divide[cells],
    ), np.flatnonzero(here)  # fmt: skip


def follow(proved, problem, begin, next_problem, next_begin):
    """What the next piece proved, in the numbers of this one."""
    width = 10**6
    links = next_problem.links
    theirs = (
        (links.mother[proved.kept] + next_begin - begin) * width
        + links.daughter[proved.kept]
        + next_begin
        - begin
    )
    own = problem.links.mother * width + problem.links.daughter
    here = proved.daughter + next_begin - begin < problem.n_daughters
    return Proved(
        proved.daughter[here] + next_begin - begin, proved.worth[here], np.flatnonzero(np.isin(own, theirs))
    )


def by_pieces(problem, n_frames, margin, tolerance=1e-3):
    """Marginals of all cells, from pieces of `n_frames` frames that overlap by `margin` on both sides."""
    starts = starts_of(problem)
    last_frame = len(starts) - 1
    link = np.zeros(problem.n_links)
    null, daughter_error = np.zeros((2, problem.n_daughters))
    disappear, divide, mother_error = np.zeros((3, problem.n_mothers))
    proved, next_problem, next_begin = NOTHING, None, 0
    cores = [(a, min(a + n_frames, last_frame)) for a in range(0, last_frame, n_frames)]
    for first, last in reversed(cores):
        low, high = max(first - margin, 0), min(last + margin, last_frame)
        begin, end = int(starts[max(low - GAP, 0)]), int(starts[min(high + GAP, last_frame)])
        part, links = cut_out(problem, begin, end)
        following = NOTHING if next_problem is None else follow(proved, part, begin, next_problem, next_begin)
        inside = int(starts[low]) - begin, int(starts[high]) - begin
        found, proved, _ = marginals_of_piece(part, inside, tolerance=tolerance, following=following)
        next_problem, next_begin = part, begin
        core = slice(int(starts[first]), int(starts[last]))
        here = slice(core.start - begin, core.stop - begin)
        own = (part.daughter >= here.start) & (part.daughter < here.stop)
        link[links[own]] = found.link[own]
        for whole, of_part in (
            (null, found.null), (daughter_error, found.daughter_error), (disappear, found.disappear),
            (divide, found.divide), (mother_error, found.mother_error),
        ):  # fmt: skip
            whole[core] = of_part[here]
    return link, null, disappear, divide, daughter_error, mother_error


def assert_bounds_hold(problem, found, exact):
    link, null, disappear, divide, daughter_error, mother_error = found
    error = np.abs(null - exact.null)
    np.maximum.at(error, problem.daughter, np.abs(link - exact.link))
    assert not np.isnan(daughter_error).any()
    assert (error - daughter_error).max() <= 1e-9
    of_mother = np.maximum(np.abs(disappear - exact.disappear), np.abs(divide - exact.divide))
    assert not np.isnan(mother_error).any()
    assert (of_mother - mother_error).max() <= 1e-9


@pytest.fixture(autouse=True)
def channels_are_fine(monkeypatch):
    monkeypatch.setattr(piece, "lose_by_cuts", lambda *_: False)  # strips are narrow


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6), st.sampled_from([0.3, 1.5, 6.0]), st.integers(4, 40), st.integers(1, 6),
    st.sampled_from([1e-3, 0.2]), st.data(),
)  # fmt: skip
def test_what_is_proved_of_a_piece_holds_in_the_movie(seed, spread, n_frames, margin, tolerance, data):
    problem = strip(70, 4, seed, spread)
    share = data.draw(st.sampled_from([Share(60_000, 300), Share(200, 2), Share(30, 0.5)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piece, "share_of", lambda _: share)
        patch.setattr(piece, "lose_by_cuts", lambda *_: False)
        if data.draw(st.booleans()):  # several stretches in a piece
            patch.setattr(cuts, "LEAST_OF_PIECE", 15)
            patch.setattr(cuts, "MARGIN", 2)
            patch.setattr(cuts, "OF_MARGIN", 4)
        found = by_pieces(problem, n_frames, margin, tolerance)
    assert_bounds_hold(problem, found, marginals(problem, method="exact", tolerance=0.0))
    event(f"{np.mean(found[4] <= tolerance):.1f} proved")


@pytest.mark.parametrize("seed", range(3))
def test_pieces_of_a_calm_movie_prove_as_much_as_the_whole(seed):
    problem = strip(300, 4, seed, spread=8.0)
    found = by_pieces(problem, 40, 8)
    exact = marginals(problem, method="exact", tolerance=0.0)
    assert_bounds_hold(problem, found, exact)
    whole = marginals(problem, method="auto", many_frames=True)
    assert np.mean(found[4] <= 1e-3) >= np.mean(whole.daughter_error <= 1e-3) - 0.01
    np.testing.assert_allclose(found[0], exact.link, atol=2e-3)


@pytest.mark.parametrize("slack", [0.0, 0.5, 3.0])
def test_a_choice_that_reaches_through_the_whole_movie_is_not_proved_by_a_piece(slack):
    # every cell is taken by its own mother, or all by the one before: one end decides about the other
    n = 200
    daughter = np.repeat(np.arange(n), 2)[1:]
    mother = daughter - np.tile([1, 0], n)[1:]
    score = np.where(mother == daughter, 0.0, slack / n)
    problem = AssignmentProblem.build(
        mother, daughter, score, n, n, appear=-12.0, disappear=-12.0, divide=-30.0
    )
    found = by_pieces(problem, 30, 6)
    assert_bounds_hold(problem, found, marginals(problem, method="exact", tolerance=0.0))
    assert (found[4][20:-20] > 1e-3).all()


def test_what_lies_outside_a_piece_is_not_known():
    problem = strip(60, 3, 4)
    starts = starts_of(problem)
    found = marginals_of_piece(problem, (int(starts[10]), int(starts[40]))).marginals
    inside = slice(int(starts[10]), int(starts[40]))
    assert not np.isnan(found.daughter_error[inside]).any()
    assert np.isnan(found.daughter_error[: inside.start]).all()
    assert np.isnan(found.daughter_error[inside.stop :]).all()
    assert np.isnan(found.mother_error[problem.mother[problem.daughter < inside.start]]).all()


@pytest.mark.parametrize("event", ["appear", "disappear"])
def test_cells_that_must_be_linked_are_refused(event):
    problem = strip(40, 3, 2)
    scores = getattr(problem, event).copy()
    linked = np.unique(problem.daughter if event == "appear" else problem.mother)
    scores[linked[len(linked) // 2]] = -np.inf
    problem = strip(40, 3, 2, **{event: scores})
    with pytest.raises(CannotBeCutError, match="must have a mother or a daughter"):
        marginals_of_piece(problem, (0, problem.n_daughters))


def test_channels_are_refused(monkeypatch):
    monkeypatch.setattr(piece, "lose_by_cuts", cuts.lose_by_cuts)
    problem = strip(300, 3, 2, spread=0.3)
    with pytest.raises(CannotBeCutError, match="as in channels"):
        marginals_of_piece(problem, (0, problem.n_daughters))


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValueError, match="range of the"):
        marginals_of_piece(strip(10, 3, 2), (5, 4))


@pytest.mark.parametrize("seed", range(12))
def test_bounds_hold_where_weights_are_too_small_for_a_float(seed):
    problem = strip(60, 3, seed, spread=1.5)
    problem = AssignmentProblem.build(
        problem.mother, problem.daughter, problem.score * 400, problem.n_mothers, problem.n_daughters,
        appear=-800.0, disappear=-700.0, divide=-900.0,
    )  # fmt: skip
    assert_bounds_hold(problem, by_pieces(problem, 20, 2), marginals(problem, method="exact", tolerance=0.0))


def test_a_piece_without_daughters_says_nothing():
    problem = AssignmentProblem.build([], [], [], 3, 0)
    found = marginals_of_piece(problem, (0, 0))
    assert found.marginals.disappear.tolist() == [1.0, 1.0, 1.0]
    assert not found.proved.daughter.size
