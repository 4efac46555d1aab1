"""How good the decisions are that nobody looked at, from the looks that were drawn at random."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.risk import check_levels
from torchtrack_uq.guarantees.unseen_errors import Looks
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.review.decision_log import Decision

DELTA = 0.05
AIMS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
"""Shares of errors among what nobody looked at that a review aims at, one after the other."""


@dataclass(frozen=True)
class Rest:
    """What can be promised about the decisions that nobody looked at.

    Attributes:
        n: Decisions that nobody looked at, of cells that have a frame before them.
        followed: Those of them that are no longer the tracker's: they followed from decisions about others.
        errors: At most so many of the n are wrong, with confidence 1 - `delta`; those that followed all count as wrong.
        delta: Probability with which that may fail, over the draws.
        drawn: Random looks that have a verdict.
        waiting: Looks without a verdict: drawn and skipped, or withdrawn; those after the first of them do not help.
        aim: Share of errors that the review aims at.
        draws_to_go: Fewest random looks, if none finds an error, until the bound is there; None while looks wait or
            where what followed is more than that already.
    """

    n: int
    followed: int
    errors: int
    delta: float
    drawn: int
    waiting: int
    aim: float
    draws_to_go: int | None

    @property
    def share(self) -> float:
        """`errors` as a share of `n`; 0 where nothing is left."""
        return self.errors / self.n if self.n else 0.0

    def describe(self) -> str:
        """One or two sentences.

        >>> Rest(4700, 0, 47, 0.05, 300, 0, 0.005, 310).describe()
        'At most 1 % of the 4,700 decisions that nobody looked at are wrong (95 % confidence after 300 random looks). \
310 more without an error make that 0.5 %.'
        """
        if not self.n:
            return "Every decision was looked at."
        if not self.drawn:
            found = (
                f"Nobody looked at {self.n:,} decisions; looks at random tell how many of them can be wrong."
            )
        else:
            found = (
                f"At most {_rounded_up(100 * self.share)} % of the {self.n:,} decisions that nobody looked at are "
                f"wrong ({100 * (1 - self.delta):.0f} % confidence after {self.drawn:,} random "
                f"look{'' if self.drawn == 1 else 's'})."
            )
        if self.followed:
            found += (
                f" {self.followed} of them followed from yours and count as wrong until they are looked at."
            )
        if self.waiting:
            waits = "look waits" if self.waiting == 1 else "looks wait"
            return f"{found} {self.waiting:,} {waits} for a verdict."
        if self.draws_to_go:
            more = f"{self.draws_to_go:,} more" if self.drawn else f"{self.draws_to_go:,} of them"
            makes = (
                f"makes that {100 * self.aim:g} %"
                if self.draws_to_go == 1
                else f"make that {100 * self.aim:g} %"
            )
            found += f" {more} without an error {makes}."
        return found


def looks_of(start: TrackingResult, decisions: Sequence[Decision]) -> tuple[Looks, NDArray[np.int64]]:
    """The looks that a log tells of, and which cell each of the N decisions is about.

    A cell is looked at when it is drawn or first decided; what counts is the last verdict. A decision is wrong where
    the person gave another mother, or struck the cell out. Decisions that a person had made before, of a movie that was
    corrected, are no tracker's and none of the N: to find them right again says nothing about others.

    Args:
        start: As tracked, before any of the decisions.
        decisions: All rows of the log, in order.

    Raises:
        InputError: Decisions about cells that are not there.
    """
    cells = start.detections
    tracked = (cells.frame > 0) & ~np.isnan(start.decision_probability)
    if start.decided is not None:
        tracked &= ~start.decided
    judged = np.flatnonzero(tracked)
    place = np.full(len(cells), -1, np.int64)
    place[judged] = np.arange(len(judged))
    by_name = cells.by_name
    seen: dict[int, bool] = {}
    last: dict[int, Decision] = {}
    for decision in decisions:
        for frame, name in (decision.cell, (decision.mother_frame, decision.mother)):
            if frame is not None and (frame, name) not in by_name:
                raise InputError(
                    f"there is no cell {name} in frame {frame}; are these the decisions of another movie or stride?"
                )
        cell = by_name[decision.cell]
        if place[cell] < 0:
            continue
        drawn = decision.verdict == "drawn"
        if decision.verdict != "undo":
            seen.setdefault(cell, drawn)
        if not drawn:
            last[cell] = decision

    def is_wrong(cell: int) -> bool:
        one = last.get(cell)
        if one is None or one.verdict == "undo":
            return False
        if one.verdict == "bad":
            return True
        given = -1 if one.mother_frame is None else by_name[one.mother_frame, one.mother]
        return bool(given != start.mother[cell])

    order = list(seen)
    looks = Looks(
        n=len(judged),
        cell=place[order],
        drawn=np.array([seen[cell] for cell in order], np.bool_),
        wrong=np.array([is_wrong(cell) for cell in order], np.bool_),
        answered=np.array([cell in last and last[cell].verdict != "undo" for cell in order], np.bool_),
        expected=1 - start.decision_probability[judged].clip(0, 1),
    )
    return looks, judged


def rest_of(
    start: TrackingResult,
    current: TrackingResult,
    decisions: Sequence[Decision],
    *,
    aim: float | None = None,
) -> Rest:
    """What can be promised about the decisions in `current` that nobody looked at.

    Args:
        start: As tracked.
        current: After the decisions of the log that stand.
        decisions: All rows of the log, in order.
        aim: Share of errors to aim at, in (0, 1); by default the first of `AIMS` that is at most half of what is known,
            so that it can be reached.

    Raises:
        InputError: An aim outside (0, 1).
    """
    if aim is not None:
        check_levels(aim, DELTA)
    looks, judged = looks_of(start, decisions)
    followed = int(_unseen_changes(looks, judged, changed_cells(start, current)).sum())
    errors = min(looks.errors_left(DELTA) + followed, looks.n_left)
    if aim is None:
        aim = next((one for one in AIMS if one * looks.n_left <= errors / 2), AIMS[-1])
    waiting = int((~looks.answered).sum())
    allowed = aim - followed / looks.n_left if looks.n_left else aim
    to_go = None if waiting or allowed <= 0 else looks.draws_to_go(allowed, DELTA)
    drawn = int((looks.drawn & looks.answered).sum())
    return Rest(looks.n_left, followed, errors, DELTA, drawn, waiting, aim, to_go)


def followed_cells(
    start: TrackingResult, current: TrackingResult, decisions: Sequence[Decision]
) -> NDArray[np.bool_]:
    """(M,) bool, cells of `current` whose mother is another since the decisions, and whom nobody looked at."""
    if start is current:
        return np.zeros(len(current.detections), np.bool_)
    looks, judged = looks_of(start, decisions)
    return _unseen_changes(looks, judged, changed_cells(start, current))[kept_cells(start, current)]


def _unseen_changes(looks: Looks, judged: NDArray[np.int64], changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) bool, cells with a decision that changed and was not looked at."""
    unseen = np.zeros(len(changed), np.bool_)
    unseen[judged] = True
    unseen[judged[looks.cell]] = False
    return unseen & changed


def _rounded_up(percentage: float) -> str:
    """To two digits; never down, as it is a bound.

    >>> _rounded_up(1.62), _rounded_up(100.0), _rounded_up(99.7)
    ('1.7', '100', '100')
    """
    if percentage <= 0:
        return "0"
    unit = 10.0 ** (math.floor(math.log10(percentage)) - 1)
    return f"{math.ceil(percentage / unit - 1e-9) * unit:.6g}"


def changed_cells(start: TrackingResult, current: TrackingResult) -> NDArray[np.bool_]:
    """(N,) bool, whose mother is another than when the movie was tracked, or who is struck out."""
    if start is current:
        return np.zeros(len(start.detections), np.bool_)
    kept = kept_cells(start, current)
    now = np.full(len(start.detections), -2, np.int64)
    mother = current.mother
    now[kept] = np.where(mother >= 0, kept[mother.clip(min=0)], -1)
    return np.asarray(now != start.mother)


def kept_cells(start: TrackingResult, current: TrackingResult) -> NDArray[np.int64]:
    """(M,) which cell of `start` each of `current` is; those that were struck out are missing."""
    if len(current.detections) == len(start.detections):
        return np.arange(len(start.detections))
    by_name, cells = start.detections.by_name, current.detections
    names = zip(cells.frame_number.tolist(), cells.name.tolist(), strict=True)
    return np.array([by_name[name] for name in names], np.int64)
