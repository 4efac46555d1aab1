"""A person's session with one result: the queue, what she decided, and what follows from it at once."""

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.errors import InputError
from torchtrack_uq.results.queue import review_queue
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.review.decision_log import Decision, DecisionLog
from torchtrack_uq.review.earlier_cells import refuse_earlier_cells
from torchtrack_uq.review.question import FOLLOWED, question_of
from torchtrack_uq.review.refit import Refit, refit
from torchtrack_uq.review.rest import Rest, followed_cells, looks_of, rest_of

_SAID = ("mother", "none", "bad")


@dataclass(frozen=True)
class Progress:
    """How far a session is.

    Attributes:
        decided: Cells that were decided.
        changed: Of these, those whose decision differs from the tracker's.
        struck_out: Detections judged bad.
        expected_errors: Decisions that are expected to be wrong still.
        expected_at_start: Before anything was decided.
    """

    decided: int
    changed: int
    struck_out: int
    expected_errors: float
    expected_at_start: float


class ReviewSession:
    """Decisions about one result; every one conditions the posterior of all others before the call returns.

    Args:
        result: As tracked.
        log: Where decisions are kept; those that it holds are taken up.

    Raises:
        InputError: The log is of another movie, or the result's method sums over no assignments.
    """

    def __init__(self, result: TrackingResult, log: DecisionLog) -> None:
        self.start, self.log = result, log
        self._base = result  # with temperature and events of the latest refit
        self._lock = threading.Lock()
        cells = result.detections
        if not np.issubdtype(cells.name.dtype, np.integer):
            raise InputError(
                f"cells are named {str(cells.name[0])!r} and the like; a review needs whole numbers: number them, or "
                f"decide in a table and use `torchtrack-uq correct`"
            )
        self._cell = cells.by_name
        self._done: list[tuple[Decision, Decision | None]] = []  # what was taken here, and what stood before
        self._redo: list[Decision] = []
        self._skipped: set[tuple[int, int]] = set()
        self._expected_at_start = float(result.doubts.error.sum())
        self._standing = log.standing()
        self.current = self._given(self._standing)
        self.queue = self._open_queue()

    @classmethod
    def open(cls, folder: Path, *, images: str | None = None, who: str = "") -> "ReviewSession":
        """Of a folder that `torchtrack-uq track` wrote; decisions are kept in its `decisions.csv`."""
        log = folder / "decisions.csv"
        refuse_earlier_cells(folder, log)
        return cls(TrackingResult.load(folder, images=images), DecisionLog(log, who))

    def decide(self, decision: Decision) -> None:
        """Take a decision: checked against all others, written, then put into the posterior.

        Raises:
            InputError: It contradicts the movie or another decision, or is none; nothing is written then.
        """
        if decision.verdict not in _SAID:  # "drawn" would pass a chosen look off as a random one
            raise InputError(f"verdict is {decision.verdict!r}; expected one of {', '.join(_SAID)}")
        with self._lock:
            self._catch_up()
            before = self._standing.get(decision.cell)
            self._take(decision)
            self._done.append((decision, before))
            self._redo.clear()

    def undo(self) -> Decision | None:
        """Withdraw the latest decision that was taken here and stands, and return it; what it replaced stands again.

        Where none is left, the latest that the log holds is withdrawn.
        """
        with self._lock:
            self._catch_up()
            latest, before = self._latest()
            if latest is None:
                return None
            self._take(before or Decision(latest.frame, latest.label, "undo"))
            self._done = self._done[:-1]
            self._redo.append(latest)
            return latest

    def _latest(self) -> tuple[Decision | None, Decision | None]:
        """The decision that an undo takes back, and what stood before; those that others replaced since are passed."""
        while self._done:
            decision, before = self._done[-1]
            if self._standing.get(decision.cell) == decision:
                return decision, before
            self._done.pop()
        return next(reversed(self._standing.values()), None), None

    def redo(self) -> Decision | None:
        """Take the decision again that was withdrawn last, and return it."""
        with self._lock:
            if not self._redo:
                return None
            self._catch_up()
            decision = self._redo[-1]
            before = self._standing.get(decision.cell)
            self._take(decision)
            self._redo.pop()
            self._done.append((decision, before))
            return decision

    def draw(self) -> tuple[int, int] | None:
        """A random look: frame and label of a cell, drawn evenly among all that nobody looked at; None if none is left.

        One that was drawn before and has no verdict yet comes again: what is passed over would spoil the promise.
        """
        with self._lock:
            self._catch_up()
            looks, judged = looks_of(self.start, self.log.decisions)
            cells = self.start.detections
            waiting = looks.cell[looks.drawn & ~looks.answered]
            if len(waiting):
                one = int(judged[waiting[0]])
                return int(cells.frame_number[one]), int(cells.name[one])
            unseen = np.ones(looks.n, np.bool_)
            unseen[looks.cell] = False
            left = judged[unseen]
            if not len(left):
                return None
            one = int(left[secrets.randbelow(len(left))])
            drawn = Decision(int(cells.frame_number[one]), int(cells.name[one]), "drawn")
            self.log.append(drawn)
            return drawn.cell

    def refit(self) -> Refit:
        """Temperature and event scores from the random looks so far; probabilities and queue are then those.

        What is promised about the rest stays about the decisions that were tracked: others count as wrong.

        Raises:
            InputError: As `refit`; all is as it was then.
        """
        with self._lock:
            self._catch_up()
            base, change = refit(self.start, self.log.decisions)
            before, self._base = self._base, base
            try:
                self.current = self._given(self._standing)
            except InputError:
                self._base = before
                raise
            self.queue = self._open_queue()
            return change

    def rest(self, aim: float | None = None) -> Rest:
        """What can be promised about the decisions that nobody looked at; see `rest_of`."""
        with self._lock:
            self._catch_up()
            return rest_of(self.start, self.current, self.log.decisions, aim=aim)

    def skip(self, frame: int, label: int) -> None:
        """Put a cell at the end of the queue for this session; nothing is written."""
        with self._lock:
            self._known(frame, label)
            self._skipped.add((frame, label))
            self.queue = self._open_queue()

    @property
    def progress(self) -> Progress:
        """How far the session is."""
        decided = [one for one in self._standing.values() if one.verdict != "bad"]
        changed = sum(self._mother_of(one) != self.start.mother[self._cell[one.cell]] for one in decided)
        return Progress(
            decided=len(self._standing),
            changed=int(changed),
            struck_out=len(self._standing) - len(decided),
            expected_errors=float(self.current.doubts.error.sum()),
            expected_at_start=self._expected_at_start,
        )

    def question(self, frame: int, label: int) -> dict[str, Any]:
        """All that a person needs to decide about a cell: who may be its mother, and how likely that is now.

        Raises:
            InputError: There is no such cell, or it was struck out.
        """
        with self._lock:
            self._known(frame, label)
            return question_of(self.current, frame, label, self._standing.get((frame, label)), self._followed)

    def _catch_up(self) -> None:
        """Decisions of another session on the same folder count here too, or both would write what contradicts."""
        if self.log.catch_up():
            self._standing = self.log.standing()
            self.current = self._given(self._standing)
            self.queue = self._open_queue()

    def _take(self, decision: Decision) -> None:
        self._known(decision.frame, decision.label)
        standing = dict(self._standing)
        standing.pop(decision.cell, None)
        if decision.verdict != "undo":
            standing[decision.cell] = decision
        changed = self._given(standing)  # refuses before anything is written
        self.log.append(decision)
        self._standing, self.current = standing, changed
        self.queue = self._open_queue()

    def _given(self, standing: dict[tuple[int, int], Decision]) -> TrackingResult:
        n, max_gap = len(self.start.detections), self.start.candidates.max_gap
        mother, known, bad = np.full(n, -1, np.int64), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        for decision in standing.values():
            cell = self._known(decision.frame, decision.label)
            if decision.verdict == "bad":
                bad[cell] = True
                continue
            frame = int(self.start.detections.frame[cell])
            if frame == 0:
                raise InputError(
                    "cells of the first frame are nobody's daughters; only bad can be said of them"
                )
            mother[cell], known[cell] = self._mother_of(decision), True
            gap = frame - int(self.start.detections.frame[mother[cell]])
            if mother[cell] >= 0 and not 0 < gap <= max_gap:
                raise InputError(
                    f"the mother is of frame {decision.mother_frame}, her daughter of frame {decision.frame}; links "
                    f"span up to {max_gap} frame(s) here"
                )
        for crowded in np.flatnonzero(np.bincount(mother[mother >= 0], minlength=1) > 2).tolist():
            cells = self.start.detections
            raise InputError(
                f"cell {cells.name[crowded]} of frame {cells.frame_number[crowded]} would have more than two "
                f"daughters; withdraw one of these decisions"
            )
        if not known.any() and not bad.any():
            return self._base
        return self._base.correct(Decisions(mother, known, bad))

    def _mother_of(self, decision: Decision) -> int:
        if decision.mother_frame is None or decision.mother is None:
            return -1
        return self._known(decision.mother_frame, decision.mother)

    def _known(self, frame: int, label: int) -> int:
        if (frame, label) not in self._cell:
            raise InputError(
                f"there is no cell {label} in frame {frame}; are these the decisions of another movie or stride?"
            )
        return self._cell[frame, label]

    def _open_queue(self) -> pd.DataFrame:
        self._followed = followed_cells(self.start, self.current, self.log.decisions)
        queue = review_queue(self.current, self._followed)
        cells = self.current.detections.find(queue["frame"].to_numpy(np.int64), queue["label"].to_numpy())
        queue["reason"] = queue["reason"].mask(self._followed[cells], FOLLOWED)
        keys = list(zip(queue["frame"], queue["label"], strict=True))
        later = pd.Series([key in self._skipped for key in keys], index=queue.index, dtype=bool)
        decided = pd.Series([key in self._standing for key in keys], index=queue.index, dtype=bool)
        queue = queue[~decided].assign(skipped=later[~decided])
        return queue.sort_values(["skipped", "rank"], kind="stable").reset_index(drop=True)
