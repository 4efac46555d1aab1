"""What is known of every movie of a batch, on the disk before and after each run, so that a killed batch goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from torchtrack_uq.batch.movies import LOGS, BatchMovie
from torchtrack_uq.batch.run_one import Outcome
from torchtrack_uq.batch.same_work import Fingerprint
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import write_atomically

TABLE = "batch.csv"
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
        self._write(movie, {"format": _FORMAT, "fingerprint": print_.as_json(), "seconds": None})

    def end(self, movie: BatchMovie, print_: Fingerprint, outcome: Outcome) -> MovieRow:
        """Note how it ended, with all that it said."""
        log = self.folder / LOGS / f"{movie.name}.txt"
        write_atomically(log, outcome.log.encode())
        self._write(
            movie, {"format": _FORMAT, "fingerprint": print_.as_json(), "seconds": round(outcome.seconds, 1)}
        )
        if outcome.code:
            return MovieRow(movie.name, "failed", seconds=round(outcome.seconds, 1), message=outcome.message)
        return self.row_of(movie, "done", round(outcome.seconds, 1))

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
            return {**known, "seconds": found["seconds"]}
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            raise InputError(
                f"{file} cannot be read ({error}); delete it, or run with --overwrite"
            ) from error

    def is_done(self, movie: BatchMovie) -> bool:
        """Whether its results are there: they appear all at once."""
        return (self.folder / movie.name / "settings.json").is_file()

    def row_of(self, movie: BatchMovie, status: str, seconds: float | None) -> MovieRow:
        """Numbers of the results that are there."""
        results = self.folder / movie.name
        settings = json.loads((results / "settings.json").read_text())
        review = pd.read_csv(results / "review.csv", usecols=["rank", "expected_errors"])
        n_tracks = len(pd.read_csv(results / "tracks.csv", usecols=["track"]))
        expected = float(review.drop_duplicates("rank")["expected_errors"].sum())
        return MovieRow(
            movie.name,
            status,
            settings["input"]["n_cells"],
            n_tracks,
            len(review),
            round(expected, 2),
            seconds,
        )

    def write_table(self, rows: list[MovieRow]) -> None:
        """`batch.csv`: a row a movie, in the order of the table of movies."""
        table = pd.DataFrame([asdict(row) for row in rows])
        for name in ("cells", "tracks", "doubtful"):
            table[name] = table[name].astype("Int64")
        write_atomically(self.folder / TABLE, table.to_csv(index=False, lineterminator="\n").encode())

    def _write(self, movie: BatchMovie, note: dict[str, Any]) -> None:
        write_atomically(self._file(movie), (json.dumps(note) + "\n").encode())

    def _file(self, movie: BatchMovie) -> Path:
        return self.folder / LOGS / f"{movie.name}.json"
