"""Everything that a folder of results holds, written at once or not at all."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from torchtrack_uq.guarantees.acceptance import ReviewStatistic
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.csv_file import write_csv
from torchtrack_uq.results.ctc import write_ctc, write_tracks
from torchtrack_uq.results.geff import write_geff
from torchtrack_uq.results.geff_probabilities import geff_extra, write_candidates
from torchtrack_uq.results.in_words import TrackedCells
from torchtrack_uq.results.own_files import OURS
from torchtrack_uq.results.parquet import write_large_table
from torchtrack_uq.results.provenance import as_json, cells_since, input_paths, settings_of
from torchtrack_uq.results.queue import review_queue
from torchtrack_uq.results.state import FILE as STATE
from torchtrack_uq.utils.crew import Crew
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.optional import import_optional
from torchtrack_uq.utils.output_checks import check_apart
from torchtrack_uq.utils.staged_folder import staged_folder


class Saved(TrackedCells, Protocol):
    """What can be written: a `TrackingResult`."""

    @property
    def movie(self) -> Movie | None:
        """Images and masks; None for points."""
        ...

    @property
    def links(self) -> pd.DataFrame:
        """All candidate links."""
        ...

    @property
    def tracks(self) -> pd.DataFrame:
        """One row a track."""
        ...

    @property
    def edges(self) -> pd.DataFrame:
        """One row a chosen link, by cell indices."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it was made."""
        ...

    @property
    def annotated(self) -> ReviewStatistic | None:
        """Right and wrong decisions where truth is known."""
        ...

    def state(self, *, masks: bool = True) -> bytes:
        """All of it, to be loaded again; `masks`: whether these are written beside it."""
        ...


class LargeFiles(Protocol):
    """Who writes the files that grow with the number of links."""

    def links(self, folder: Path) -> None:
        """`links.csv` and, where that is large, `links.parquet`."""
        ...

    def state(self, file: Path, masks: bool) -> None:
        """`state.npz`; `masks`: whether these are written beside it."""
        ...


@dataclass(frozen=True)
class FromMemory:
    """They are written from a result that holds all links."""

    result: Saved

    def links(self, folder: Path) -> None:
        """See `LargeFiles`."""
        write_csv(folder / "links.csv", self.result.links)

    def state(self, file: Path, masks: bool) -> None:
        """See `LargeFiles`."""
        file.write_bytes(self.result.state(masks=masks))


def check_can_save() -> None:
    """Refuse to begin where `TrackingResult.save` could not end.

    Raises:
        InputError: geff or matplotlib is not installed.
    """
    import_optional("geff", "files", "writing tracks.geff")
    import_optional("matplotlib", "files", "drawing doubts.png")


def save_result(
    result: Saved,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    masks: bool = True,
    crew: Crew | None = None,
    progress: bool = True,
    large: LargeFiles | None = None,
) -> Path:
    """Write all outputs to a folder, either all of them or none; see `TrackingResult.save`.

    `large` writes the files that grow with the number of links; by default they are made from the result.

    Raises:
        InputError: The folder holds files and `overwrite` is False, it holds the movie or lies in it, or geff or
            matplotlib is not installed.
    """
    check_can_save()
    check_apart(Path(folder), input_paths(result.movie))
    from torchtrack_uq.results.picture import draw_doubts
    from torchtrack_uq.results.report.document import report_html

    with staged_folder(Path(folder), overwrite=overwrite, ours=OURS) as staging, _Beside() as beside:
        settings = {name: value for name, value in settings_of(result).items() if name != "cells_since"}
        if (since := cells_since(Path(folder), settings)) is not None:
            settings["cells_since"] = since
        (staging / "settings.json").write_bytes(as_json(settings))
        cells = result.cells  # also what is made of them once and used by both threads
        if large is None:
            large, links = FromMemory(result), result.links
            beside.do(large.links, staging)
            write_large_table(staging / "links.parquet", links)
        else:
            beside.do(large.links, staging)
        beside.do(write_csv, staging / "cells.csv", cells)
        write_csv(staging / "tracks.csv", result.tracks)
        # after the tracks, so that it draws nothing: an interruption waits for it
        beside.do(large.state, staging / STATE, masks)
        beside.check()
        if result.movie is None or not masks:
            write_tracks(staging, result.detections, result.tracklets)
        else:
            write_ctc(
                staging, result.movie, result.detections, result.tracklets, crew=crew, progress=progress
            )
        queue = review_queue(result)
        write_csv(staging / "review.csv", queue)
        (staging / "report.html").write_text(
            report_html(result, queue, settings), encoding="utf-8", errors="replace", newline="\n"
        )
        if result.candidates.max_gap > 1:
            cells = cells.assign(tracklet=result.tracklets.path)
        relabelled = None if result.movie is None or not masks else "../mask*.tif"
        write_geff(
            staging / "tracks.geff",
            cells,
            result.edges,
            result.detections.naming.last(result.detections.n_frames) + 1,
            voxel_size=result.detections.voxel_size,
            interval=result.detections.naming.per_number(result.detections.interval),
            extra=geff_extra(settings, cells, other={"alternatives": "../candidates.geff"}, masks=relabelled),
        )
        write_candidates(staging / "candidates.geff", result, settings)
        figure = draw_doubts(
            result.movie, result.detections, result.probabilities, result.selected, result.doubts
        )
        figure.savefig(staging / "doubts.png", dpi=110, format="png", pil_kwargs={"compress_level": 3})
    return Path(folder)


class _Beside:
    """Does things one after the other in another thread; all are done, or one has raised, when the block ends."""

    def __enter__(self) -> "_Beside":
        self._pool, self._jobs = ThreadPoolExecutor(1), list[Future[None]]()
        return self

    def do(self, job: Callable[..., None], *arguments: Any) -> None:
        """As soon as what was asked for before is done."""
        self._jobs.append(self._pool.submit(job, *arguments))

    def check(self) -> None:
        """Raise what a job has raised by now."""
        for job in self._jobs:
            if job.done():
                job.result()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with held_signals():  # nobody may take the folder away from under a job
            self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.check()
