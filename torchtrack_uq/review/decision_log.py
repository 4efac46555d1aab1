"""Decisions as they are made, in a file that only ever grows: what was written survives whatever comes after."""

import csv
import errno
import io
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from torchtrack_uq.errors import InputError

COLUMNS = ("frame", "label", "verdict", "mother_frame", "mother", "time", "who")
VERDICTS = ("mother", "none", "bad", "undo", "drawn")
_MARK = b"\xef\xbb\xbf"
"""Which spreadsheets put in front of UTF-8."""


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
        self.decisions: list[Decision] = []
        self._seen: tuple[int, int] | None = None
        if self.catch_up():
            _end_last_row(file)
            self._seen = self._state()

    def catch_up(self) -> bool:
        """Take up what others wrote into the file since; whether there was anything.

        Raises:
            InputError: The file is something else now.
        """
        now = self._state()
        if now == self._seen:
            return False
        self.decisions = [] if now is None else read_log(self.file)
        self._seen = now
        return True

    def append(self, decision: Decision) -> None:
        """Write one more decision; it is on the disk when this returns.

        Raises:
            InputError: The file cannot be written, as on a full disk; it is as it was before then.
        """
        row = [decision.frame, decision.label, decision.verdict, decision.mother_frame, decision.mother]
        text = io.StringIO()
        before = self._state()
        size = 0 if before is None else before[0]
        separator = separator_of(self.file.read_bytes()) if size else ","
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        if not size:
            writer.writerow(COLUMNS)
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        writer.writerow(["" if value is None else value for value in row] + [stamp, self.who])
        content = text.getvalue().encode()
        try:
            with self.file.open("ab", buffering=0) as stream:
                try:
                    if stream.write(content) != len(content):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(stream.fileno())
                except OSError:
                    stream.truncate(size)  # the next row would be glued to half of this one
                    raise
        except OSError as error:
            raise InputError(
                f"{self.file} cannot be written ({error.strerror}), so this was not kept; make room or allow "
                f"writing there, and do it again"
            ) from error
        self.decisions.append(decision)
        self._seen = self._state()

    def _state(self) -> tuple[int, int] | None:
        """Size and time of the file, by which it is known to be as it was."""
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return None
        return found.st_size, found.st_mtime_ns

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


def separator_of(content: bytes) -> str:
    """What stands between the columns of a log: a comma, or what spreadsheets make of it where decimals have commas.

    >>> separator_of(b"frame;label;verdict"), separator_of(b"")
    (';', ',')
    """
    header = content.partition(b"\n")[0].decode("utf-8", errors="replace")
    return max(",;\t", key=header.count)


def is_log(file: Path) -> bool:
    """Whether a file begins as a log does.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with file.open("rb") as stream:
            header = stream.readline(1000).removeprefix(_MARK).rstrip(b"\r\n")
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; expected a table of decisions") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read as a table of decisions: {error.strerror}") from error
    return tuple(header.decode("utf-8", errors="replace").split(separator_of(header))) == COLUMNS


def read_log(file: Path) -> list[Decision]:
    """All whole rows of a log, in order; the file is left as it is.

    What spreadsheets do to it is undone: semicolons, a mark in front, numbers such as 3.0, empty rows, no end of the
    last line.

    Raises:
        InputError: The file is something else.
    """
    whole = _whole_rows(file.read_bytes().removeprefix(_MARK))
    text = io.StringIO(whole.decode("utf-8", errors="replace"))
    try:
        rows = list(csv.reader(text, delimiter=separator_of(whole), strict=True))
    except csv.Error as error:
        raise InputError(f"{file} cannot be read as a log of decisions: {error}") from error
    if not rows:
        return []
    if tuple(rows[0]) != COLUMNS:
        raise InputError(
            f"{file} has the columns {', '.join(rows[0])[:200]}; expected {', '.join(COLUMNS)}: move it away to "
            f"begin anew"
        )
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        try:
            frame, label, verdict, mother_frame, mother = (entry.strip() for entry in row[:5])
            found.append(
                Decision(
                    _whole_number(frame),
                    _whole_number(label),
                    verdict.lower(),
                    _whole_number(mother_frame) if mother_frame else None,
                    _whole_number(mother) if mother else None,
                )
            )
        except (ValueError, InputError) as error:
            raise InputError(f"{file}, line {number} is no decision: {error}") from error
    return found


def _whole_number(text: str) -> int:
    return int(re.sub(r"\.0*$", "", text))


def _whole_rows(content: bytes) -> bytes:
    """Without the last row if a crash cut it off: it has no end, and lacks columns or the end of a quotation."""
    rows, _, last = content.rpartition(b"\n")
    separator = separator_of(content).encode()
    if last and (last.count(separator) + 1 < len(COLUMNS) or last.count(b'"') % 2):
        return rows + b"\n" * bool(rows)
    return content


def _end_last_row(file: Path) -> None:
    """So that the next row can be appended."""
    content = file.read_bytes()
    whole = _whole_rows(content)
    if whole == content and (not content or content.endswith(b"\n")):
        return
    with file.open("r+b") as stream:
        stream.truncate(len(whole))
        if whole and not whole.endswith(b"\n"):
            stream.seek(0, os.SEEK_END)
            stream.write(b"\n")
