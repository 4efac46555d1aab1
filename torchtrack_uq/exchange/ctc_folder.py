"""Results and annotations in the layout of the Cell Tracking Challenge."""

from pathlib import Path

import numpy as np

from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie

_LISTS = ("res_track.txt", "man_track.txt")


def is_ctc_folder(path: Path) -> bool:
    """Whether a folder holds `res_track.txt` or `man_track.txt`."""
    return any((path / name).is_file() for name in _LISTS)


def read_ctc_folder(path: Path, *, progress: bool = True) -> TrackTable:
    """Read `maskNNN.tif` with `res_track.txt`, or `man_trackNNN.tif` with `man_track.txt`.

    A cell's label is its track. Format: https://celltrackingchallenge.net/datasets (naming and file content
    conventions). A parent with one child is the same cell after a gap.

    Args:
        path: Folder.
        progress: Whether to show a progress bar.

    Raises:
        InputError: Masks are missing, or masks and list contradict each other.
    """
    file = next(path / name for name in _LISTS if (path / name).is_file())
    lineage = Lineage.read(file)
    movie = Movie.open(None, path)
    cells = Detections.from_movie(movie, progress=progress)
    row = lineage.rows_of(cells.label)
    for i in np.flatnonzero(row < 0):
        raise InputError(
            f"{path}: label {cells.label[i]} in frame {cells.frame[i]} is not listed in {file.name}"
        )
    outside = (cells.frame < lineage.begin[row]) | (cells.frame > lineage.end[row])
    for i in np.flatnonzero(outside):
        raise InputError(
            f"{path}: label {cells.label[i]} stands in frame {cells.frame[i]}, but {file.name} lists it from frame "
            f"{lineage.begin[row[i]]} to {lineage.end[row[i]]}"
        )
    return TrackTable.from_runs(
        "Cell Tracking Challenge result",
        cells.frame,
        cells.label,
        {
            int(child): [int(parent)]
            for child, parent in zip(lineage.label, lineage.parent, strict=True)
            if parent
        },
        coords=cells.coords,
        label=cells.label,
        unit="pixel",
        masks=path,
    )
