"""Annotated movies of points: centroids and tracks in a table, without masks or images."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections

_COLUMNS = ("frame", "x", "y", "track")
_DEPTH = "z"
_LARGEST = 2**53
"""Whole numbers up to here are exact as floats."""


def is_points_folder(folder: Path) -> bool:
    """Whether a folder holds a table of points rather than masks."""
    return _table_of(folder) is not None


def _table_of(folder: Path) -> Path | None:
    files = (folder / "points.csv.gz", folder / "points.csv")
    return next((file for file in files if file.is_file()), None)


def dimensions_of_points(folder: Path) -> int:
    """3 if the table has a column z, else 2; what is wrong with a table is left to its reader."""
    file = _table_of(folder)
    try:
        return 3 if file is not None and _DEPTH in pd.read_csv(file, nrows=0) else 2
    except (OSError, ValueError, EOFError, zlib.error):
        return 2


def read_points_movie(
    folder: str | os.PathLike[str],
    stride: int = 1,
    *,
    use_images: bool = True,
    voxel_size: Sequence[float] | None = None,
    progress: bool = True,
) -> AnnotatedMovie:
    """Read `points.csv` or `points.csv.gz` (columns frame, x, y, track) and `man_track.txt` of one folder.

    A table with a column z is of a 3D movie: its detections have coordinates (z, y, x), others (y, x). They are taken
    as they are; where a step along z is longer than one along x, `voxel_size` says so. Rows may stand in any order.
    Frames count from 0 in `man_track.txt`; the table may count them from 1 (its first frame then is one later than the
    lineage's first), as C2C12 tables do. The detections have no features.

    Args:
        folder: With both files.
        stride: Take every `stride`-th frame.
        use_images: Means nothing here: there are none.
        voxel_size: What a step of 1 is in micrometres, ((z,) y, x); the same along every axis by default.
        progress: Likewise.

    Raises:
        InputError: A file or column is missing, or points and lineage contradict each other.
    """
    path = Path(folder).expanduser()
    file = _table_of(path)
    if file is None:
        raise InputError(f"{path} holds no points.csv or points.csv.gz")
    lineage = Lineage.read(path / "man_track.txt")
    try:
        table = pd.read_csv(file, usecols=lambda name: name in (*_COLUMNS, _DEPTH))
        lacking = [name for name in _COLUMNS if name not in table]
        if lacking:
            raise ValueError(f"there is no column {', '.join(lacking)}")
        numbers = table.to_numpy(dtype=np.float64)
    except (OSError, ValueError, TypeError, OverflowError, EOFError, zlib.error) as error:
        raise InputError(
            f"{file} cannot be read, expected columns {', '.join(_COLUMNS)} of numbers: {error}"
        ) from error
    axes = [axis for axis in (_DEPTH, "y", "x") if axis in table]
    if not (np.abs(numbers) <= np.finfo(np.float32).max).all():
        raise InputError(
            f"{file} has empty or infinite entries, or some beyond float32; every point needs "
            f"{', '.join(table.columns)}"
        )
    for name in ("frame", "track"):
        values = table[name].to_numpy(dtype=np.float64)
        for row in np.flatnonzero((values != np.floor(values)) | (np.abs(values) > _LARGEST)):
            raise InputError(f"{file}: {name} of row {row} is {values[row]:g}; expected a whole number")
    frame = table["frame"].to_numpy(dtype=np.int64)
    counts_from_one = len(lineage) > 0 and len(frame) > 0 and frame.min() == lineage.begin.min() + 1
    detections = Detections.from_points(
        frame=frame - int(counts_from_one),
        coords=table[axes].to_numpy(dtype=np.float64),
        label=table["track"].to_numpy(dtype=np.int64),
        sort=True,
        voxel_size=None if voxel_size is None else tuple(float(edge) for edge in voxel_size),
    )
    return AnnotatedMovie(path.name, detections, lineage).strided(stride)
