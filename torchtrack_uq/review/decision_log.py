"""Decisions as they are made, in a file that only ever grows: what was written survives whatever comes after."""

import csv
import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from torchtrack_uq.errors import InputError

COLUMNS = ("frame", "label", "verdict", "mother_frame", "mother", "time", "who")
VERDICTS = ("mother", "none", "bad", "undo", "drawn")


@dataclass(frozen=True)
class Decision:
    """What a person said of one cell.

    Attributes:
        frame: Frame of the cell.
        label: Its label there.
        verdict: "mother", "none", "bad" for what is no cell, "undo", which withdraws what was said before, or "drawn":
            the cell was drawn at random, to be looked at.
        mother_frame: Frame of the mother that she was given, None for other verdicts.
        mother: Her label there.

    Raises:
        InputError: An unknown verdict, or a mother who is missing or given with another verdict.
    """

    frame: int
    label: int
    verdict: str
    mother_frame: int | None = None
    mother: int | None = None

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise InputError(f"verdict is {self.verdict!r}; expected one of {', '.join(VERDICTS)}")
        named = self.mother_frame is not None and self.mother is not None
        if named != (self.verdict == "mother"):
            raise InputError(
                f"verdict {self.verdict} with mother {self.mother} of frame {self.mother_frame}; expected a mother "
                f"with the verdict mother, and none with others"
            )

    @property
    def cell(self) -> tuple[int, int]:
        """Frame and label, by which a cell is known."""
        return self.frame, self.label


class DecisionLog:
    """The file `decisions.csv`: one row a decision, appended and flushed to the disk before anybody is told.

    Of several rows of a cell the last one counts; the verdict "undo" withdraws, and "drawn" says nothing of the cell. A
    row that was cut off by a crash is dropped when the file is opened again. `read_decisions` reads the file as it is.

    Args:
        file: Made when the first decision is written.
        who: Name that stands in the rows.

    Raises:
        InputError: The file is something else.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = DecisionLog(Path(folder) / "decisions.csv", "me")
    ...     log.append(Decision(3, 7, "none"))
    ...     log.append(Decision(3, 7, "mother", 2, 5))
    ...     log.standing()
    {(3, 7): Decision(frame=3, label=7, verdict='mother', mother_frame=2, mother=5)}
    """

    def __init__(self, file: Path, who: str = "") -> None:
        self.file, self.who = file, who
        self.decisions = []
        if file.exists():
            self.decisions = read_log(file)
            _drop_cut_row(file)

    def append(self, decision: Decision) -> None:
        """Write one more decision; it is on the disk when this returns."""
        row = [decision.frame, decision.label, decision.verdict, decision.mother_frame, decision.mother]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self.file.exists() or not self.file.stat().st_size:
            writer.writerow(COLUMNS)
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        writer.writerow(["" if value is None else value for value in row] + [stamp, self.who])
        with self.file.open("ab") as stream:
            stream.write(text.getvalue().encode())
            stream.flush()
            os.fsync(stream.fileno())
        self.decisions.append(decision)

    def standing(self) -> dict[tuple[int, int], Decision]:
        """By frame and label, the decision that counts; withdrawn ones are left out. The latest stands last."""
        found: dict[tuple[int, int], Decision] = {}
        for decision in self.decisions:
            if decision.verdict == "drawn":
                continue
            found.pop(decision.cell, None)
            if decision.verdict != "undo":
                found[decision.cell] = decision
        return found


def is_log(file: Path) -> bool:
    """Whether a file begins as a log does."""
    with file.open("rb") as stream:
        return stream.readline(1000).rstrip(b"\r\n") == ",".join(COLUMNS).encode()


def read_log(file: Path) -> list[Decision]:
    """All whole rows of a log, in order; the file is left as it is.

    Raises:
        InputError: The file is something else.
    """
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]  # a crash may have cut the last row off
    rows = list(csv.reader(io.StringIO(whole.decode("utf-8", errors="replace"))))
    if not rows:
        return []
    if tuple(rows[0]) != COLUMNS:
        raise InputError(
            f"{file} has the columns {', '.join(rows[0])[:200]}; expected {', '.join(COLUMNS)}: move it away to "
            f"begin anew"
        )
    found = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            frame, label, verdict, mother_frame, mother = row[:5]
            found.append(
                Decision(
                    int(frame),
                    int(label),
                    verdict,
                    int(mother_frame) if mother_frame else None,
                    int(mother) if mother else None,
                )
            )
        except (ValueError, InputError) as error:
            raise InputError(f"{file}, line {number} is no decision: {error}") from error
    return found


def _drop_cut_row(file: Path) -> None:
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with file.open("r+b") as stream:
            stream.truncate(whole)
