"""What is known of every movie of a batch, on the disk before and after each run, so that a killed batch goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from torchtrack_uq.batch.movies import LOGS, TABLE, BatchMovie
from torchtrack_uq.batch.run_one import Outcome
from torchtrack_uq.batch.same_work import Fingerprint
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import write_atomically

_FORMAT = "torchtrack-uq batch 1"


@dataclass(frozen=True)
class MovieRow:
    """A row of `batch.csv`.

    Attributes:
        name: Of the movie, and of its folder.
        status: "done", "done before", "failed" or "waiting".
        cells: How many were tracked.
        tracks: In how many tracks.
        doubtful: Cells on its review list.
        expected_errors: Decisions that are expected to be wrong.
        seconds: How long it took.
        message: Why it failed.
    """

    name: str
    status: str
    cells: int | None = None
    tracks: int | None = None
    doubtful: int | None = None
    expected_errors: float | None = None
    seconds: float | None = None
    message: str = ""


@dataclass
class BatchRecord:
    """Files of a batch beside the results.

    Attributes:
        folder: Of all movies.
    """

    folder: Path

    def begin(self, movie: BatchMovie, print_: Fingerprint) -> None:
        """Note what is about to run, so that its results are known for what they are if nobody notes their end."""
        note = {"format": _FORMAT, "fingerprint": print_.as_json(), "seconds": None}
        self._write(movie, {**note, "earlier": self._stamp(movie)})

    def end(self, movie: BatchMovie, print_: Fingerprint, outcome: Outcome) -> MovieRow:
        """Note how it ended, with all that it said."""
        log = self.folder / LOGS / f"{movie.name}.txt"
        write_atomically(log, outcome.log.encode())
        seconds = round(outcome.seconds, 1)
        if outcome.code:  # what was noted when it began stays: earlier results may be there still
            return MovieRow(movie.name, "failed", seconds=seconds, message=outcome.message)
        self._write(movie, {"format": _FORMAT, "fingerprint": print_.as_json(), "seconds": seconds})
        try:
            return self.row_of(movie, "done", seconds)
        except InputError as error:
            return MovieRow(movie.name, "failed", seconds=seconds, message=str(error))

    def fingerprint(self, movie: BatchMovie) -> dict[str, Any] | None:
        """What was noted when it ran; None if it never did.

        Raises:
            InputError: The note cannot be read.
        """
        file = self._file(movie)
        if not file.is_file():
            return None
        try:
            found = json.loads(file.read_text())
            known: dict[str, Any] = found["fingerprint"]
            return {**known, "seconds": found["seconds"], "earlier": found.get("earlier")}
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            raise InputError(
                f"{file} cannot be read ({error}); delete it, or run with --overwrite"
            ) from error

    def is_done(self, movie: BatchMovie) -> bool:
        """Whether its results are there: they appear all at once."""
        return (self.folder / movie.name / "settings.json").is_file()

    def is_earlier(self, movie: BatchMovie, noted: dict[str, Any]) -> bool:
        """Whether results are those that a run was to replace which never did, as one that was killed."""
        return noted["earlier"] is not None and noted["earlier"] == self._stamp(movie)

    def row_of(self, movie: BatchMovie, status: str, seconds: float | None) -> MovieRow:
        """Numbers of the results that are there.

        Raises:
            InputError: A file of them is missing or is none of `track`.
        """
        results = self.folder / movie.name
        try:
            settings = json.loads((results / "settings.json").read_text())
            n_cells = int(settings["input"]["n_cells"])
            review = pd.read_csv(results / "review.csv", usecols=["rank", "expected_errors"])
            n_tracks = len(pd.read_csv(results / "tracks.csv", usecols=["track"]))
            expected = float(review.drop_duplicates("rank")["expected_errors"].sum())
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            what = f"lacks {Path(error.filename).name}" if isinstance(error, FileNotFoundError) else error
            raise InputError(f"{results} is not as `track` left it ({what})") from error
        return MovieRow(movie.name, status, n_cells, n_tracks, len(review), round(expected, 2), seconds)

    def write_table(self, rows: list[MovieRow]) -> None:
        """`batch.csv`: a row a movie, in the order of the table of movies."""
        table = pd.DataFrame([asdict(row) for row in rows])
        for name in ("cells", "tracks", "doubtful"):
            table[name] = table[name].astype("Int64")
        write_atomically(self.folder / TABLE, table.to_csv(index=False, lineterminator="\n").encode())

    def _write(self, movie: BatchMovie, note: dict[str, Any]) -> None:
        write_atomically(self._file(movie), (json.dumps(note) + "\n").encode())

    def _stamp(self, movie: BatchMovie) -> list[int] | None:
        """Size and time of its settings, which every run writes; None where there are none."""
        try:
            found = (self.folder / movie.name / "settings.json").stat()
        except OSError:
            return None
        return [found.st_size, found.st_mtime_ns]

    def _file(self, movie: BatchMovie) -> Path:
        return self.folder / LOGS / f"{movie.name}.json"
