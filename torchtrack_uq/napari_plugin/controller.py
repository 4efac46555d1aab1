"""What a dock widget for a review shows and does, without a toolkit: the same as the page, by the same keys."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torchtrack_uq.errors import InputError
from torchtrack_uq.napari_plugin.answers import Answer, answers_to, percent, progress_in_words
from torchtrack_uq.napari_plugin.marks import Spot, marks_of
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.refit import Refit
from torchtrack_uq.review.session import ReviewSession

KEYS = ("Enter", *"1234567890", "B", "S", "A", "U", "R", "J", "K", ",", ".")
"""Those of the page; the last two, a frame back and on, are the viewer's."""
LISTED = 200
"""Rows of the queue that are shown at once."""


@dataclass(frozen=True)
class Row:
    """A row of the queue.

    Attributes:
        frame: The user's own number of the cell's frame.
        label: What the user calls the cell.
        text: In words.
    """

    frame: int
    label: int
    text: str


class ReviewController:
    """Where a person is in a review, and what her keys and clicks do.

    Nothing raises what she has to read: a decision that is refused leaves its sentence in `message`, and all else as it
    was. Calls may come from any one thread at a time.

    Args:
        session: What is reviewed.

    Attributes:
        rows: The first `LISTED` cells of the queue that are for `reason`.
        n_rows: How many there are.
        at: Row that is asked about, -1 for a cell that is not among them.
        question: As `ReviewSession.question` puts it; None when nothing is left.
        answers: To it.
        reason: Of the cells that are shown, empty for all.
        rest: What can be promised about the decisions that nobody looked at.
        message: What was refused, and why; empty otherwise.
    """

    def __init__(self, session: ReviewSession) -> None:
        self.session = session
        self.rows: list[Row] = []
        self.n_rows, self.at, self.reason, self.rest, self.message = 0, -1, "", "", ""
        self._note = ""
        self.question: dict[str, Any] | None = None
        self.answers: list[Answer] = []
        self._list()
        self._go(0)

    @property
    def title(self) -> str:
        """The question in words."""
        if self.question is None:
            return "Nothing is left here"
        cell = f"Cell {self.question['label']} of frame {self.question['frame']}"
        return f"{cell} was struck out" if self.question["struck_out"] else f"{cell}: who is its mother?"

    @property
    def why(self) -> str:
        """Why it is asked; empty where nothing speaks against the tracker's answer."""
        if self._note:
            return self._note
        reason = "" if self.question is None else self.question.get("reason", "")
        return f"Doubtful because: {reason}." if reason else ""

    @property
    def progress(self) -> str:
        """How far the review is, in words."""
        return progress_in_words(self.session.progress, len(self.session.queue))

    @property
    def reasons(self) -> list[str]:
        """For which cells are in the queue."""
        return sorted(set(self.session.queue["reason"].tolist()) - {""})

    @property
    def spot(self) -> Spot | None:
        """Where the question is."""
        return None if self.question is None else marks_of(self.question, self.session.start.detections)

    def press(self, key: str) -> bool:
        """What a key does.

        Args:
            key: "Enter" accepts the tracker's answer, "1" to "9" choose a mother, "0" says there is none, "B" that this
                is no cell, "S" skips, "A" draws a cell at random, "U" and "R" undo and redo, "J" and "K" go to the next
                and the previous question.

        Returns:
            Whether the key means anything now.
        """
        answer = next((one for one in self.answers if one.key == key), None)
        if answer is not None:
            self.decide(answer.decision)
            return True
        action = self._actions.get(key)
        if action is None:
            return False
        action()
        return True

    @property
    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "Enter": self.accept,
            "S": self.skip,
            "A": self.draw,
            "U": self.undo,
            "R": self.redo,
            "J": lambda: self.go(self.at + 1),
            "K": lambda: self.go(max(self.at, 0) - 1),
        }

    def accept(self) -> None:
        """Decide what the tracker chose."""
        chosen = next((one for one in self.answers if one.chosen), None)
        if chosen is None:
            self.message = "there is nothing to accept here; choose an answer"
        else:
            self.decide(chosen.decision)

    def decide(self, decision: Decision) -> None:
        """Take a decision, and go on to what is then the most useful look."""
        if self._done(lambda: self.session.decide(decision)):
            self._list()
            self._go(0)

    def choose(self, cell: int) -> None:
        """A click on a cell: she is the mother.

        Args:
            cell: Index among the detections of the movie as tracked, as `cell_of_track` finds it.
        """
        if self.question is None:
            self.message = "nothing is asked; a click chooses the mother of the cell that is asked about"
            return
        cells = self.session.start.detections
        frame, label = int(cells.frame_number[cell]), int(cells.name[cell])
        asked = self.question["frame"], self.question["label"]
        if frame >= asked[0]:
            self.message = (
                f"cell {label} is of frame {frame}; the mother of cell {asked[1]} is of a frame before {asked[0]}: "
                f"go back (,) and click there"
            )
            return
        self.decide(Decision(*asked, "mother", frame, label))

    def skip(self) -> None:
        """Put the cell at the end of the queue."""
        if self.question is None:
            return
        frame, label = self.question["frame"], self.question["label"]
        if self._done(lambda: self.session.skip(frame, label)):
            self._list()
            self._go(0)

    def draw(self) -> None:
        """Ask about a cell that is drawn at random among those that nobody looked at."""
        drawn: list[tuple[int, int] | None] = []
        if not self._done(lambda: drawn.append(self.session.draw())):
            return
        if drawn[0] is None:
            self.message = "every cell was looked at"
            return
        self._ask(*drawn[0])
        self._note = "A look at random: whatever the answer, it tells how good the others are."
        self.rest = self.session.rest().describe()

    def refit(self) -> None:
        """Temperature and event scores anew from the random looks so far, and what that changed in place of `why`."""
        found: list[Refit] = []
        if self._done(lambda: found.append(self.session.refit())):
            self._list()
            self._go(0)
            self._note = found[0].describe()

    def undo(self) -> None:
        """Withdraw the latest decision, and ask about that cell again."""
        decision = self._step(self.session.undo, "there is nothing to undo")
        if decision is None:
            return
        row = next((i for i, one in enumerate(self.rows) if (one.frame, one.label) == decision.cell), -1)
        if row >= 0:
            self._go(row)
        else:  # not doubtful, or filtered out
            self._ask(decision.frame, decision.label)

    def redo(self) -> None:
        """Take the decision again that was withdrawn last."""
        if self._step(self.session.redo, "there is nothing to redo") is not None:
            self._go(0)

    def go(self, row: int) -> None:
        """Ask about a row of the list; the first or the last one where it is out of range."""
        self._done(lambda: self._go(row))

    def filter(self, reason: str) -> None:
        """Show cells that are doubtful for one reason only, or all (empty)."""
        self.reason = reason
        self._list()
        self.go(0)

    def cell_of_track(self, t: int, track: int) -> int | None:
        """The cell that a track is in a frame.

        Args:
            t: Frame, counted from 0.
            track: Value of the layer `cells by track`.

        Returns:
            Its index among the detections of the movie as tracked; None for background.
        """
        start = self.session.start
        if not track or not 0 <= t < start.detections.n_frames:
            return None
        within = start.detections.in_frame(t)
        found = (start.tracklets.path[within] == track).nonzero()[0]
        return within.start + int(found[0]) if len(found) else None

    def _step(self, step: Callable[[], Decision | None], nothing: str) -> Decision | None:
        found: list[Decision | None] = []
        if not self._done(lambda: found.append(step())):
            return None
        if found[0] is None:
            self.message = nothing
            return None
        self._list()
        return found[0]

    def _done(self, action: Callable[[], object]) -> bool:
        """Whether it was not refused."""
        self.message = ""
        try:
            action()
        except InputError as error:
            self.message = str(error)
            return False
        return True

    def _list(self) -> None:
        queue = self.session.queue
        if self.reason not in self.reasons:
            self.reason = ""
        if self.reason:
            queue = queue[queue["reason"] == self.reason]
        self.n_rows, self.rest = len(queue), self.session.rest().describe()
        shown = queue.head(LISTED)
        columns = [shown[name].tolist() for name in ("rank", "frame", "label", "probability", "reason")]
        self.rows = [
            Row(
                frame,
                label,
                f"{rank}. cell {label}, frame {frame}: {percent(p)} sure ({reason or 'doubtful'})",
            )
            for rank, frame, label, p, reason in zip(*columns, strict=True)
        ]

    def _go(self, row: int) -> None:
        if not self.rows:
            self.at, self.question, self.answers, self._note = -1, None, [], ""
            return
        at = min(max(row, 0), len(self.rows) - 1)
        self._ask(self.rows[at].frame, self.rows[at].label)
        self.at = at

    def _ask(self, frame: int, label: int) -> None:
        self.question = self.session.question(frame, label)
        self.answers = answers_to(self.question)
        self.at, self._note = -1, ""
