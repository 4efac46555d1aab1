"""Cells that come as points: a table with a row a cell, from any tool that writes one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.naming import Naming
from torchtrack_uq.movies.points_checks import check_coords, finite, warn_of_same_place
from torchtrack_uq.movies.points_columns import choose_columns, feature_columns
from torchtrack_uq.movies.scale import check_scale
from torchtrack_uq.movies.table_file import SourceTable, TableLike, read_table

_HEADER_ROWS = 3
"""Of TrackMate, below the names: what they mean, in short, and units."""
_MICRONS = ("micron", "microns", "µm", "μm", "um", "micrometer", "micrometers")
_SPARSE, _LONG = 100, 1000
_LARGEST = 2.0**53
"""Whole numbers up to here are exact as floats."""


@dataclass(frozen=True)
class PointsTable:
    """A table of points as detections, and what was taken for what.

    Attributes:
        detections: Its N points. `naming` has the table's own frame numbers and, where they are no labels, ids; `row`
            the rows, counted from 0 below the header; `features` all further columns of finite numbers.
        columns: By role (frame, z, y, x, id), the column.
        name: Of the file.
        notes: What a user should know about how it was read, a clause each.
    """

    detections: Detections
    columns: Mapping[str, str]
    name: str
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was read, in one sentence."""
        cells = self.detections
        taken = ", ".join(role if role == name else f"{role} = {name}" for role, name in self.columns.items())
        first, last = cells.naming.frames(np.array([0, cells.n_frames - 1]))
        said = f"{len(cells)} points in {cells.n_frames} frames ({first} to {last}), columns {taken}"
        if cells.features:
            said += f", features {', '.join(cells.features)}"
        return "; ".join([f"{self.name}: {said}", *self.notes])


def read_points(
    source: TableLike,
    columns: Mapping[str, str | None] | None = None,
    *,
    stride: int = 1,
    field_shape: Sequence[float] | None = None,
    voxel_size: Sequence[float] | None = None,
    interval: float | None = None,
) -> Detections:
    """Read a table of points; `read_points_table` says as well which columns were taken.

    Raises:
        InputError: As `read_points_table`.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"frame": [480, 481], "y": [4.0, 5.0], "x": [4.0, 4.5], "id": ["a", "b"]})
    >>> cells = read_points(table)
    >>> cells.frame, cells.frame_number, cells.name.tolist()
    (array([0, 1]), array([480, 481]), ['a', 'b'])
    """
    return read_points_table(
        source, columns, stride=stride, field_shape=field_shape, voxel_size=voxel_size, interval=interval
    ).detections


def read_points_table(
    source: TableLike,
    columns: Mapping[str, str | None] | None = None,
    *,
    stride: int = 1,
    field_shape: Sequence[float] | None = None,
    voxel_size: Sequence[float] | None = None,
    interval: float | None = None,
) -> PointsTable:
    """Read and check a table of points in any order: frame, (z), y, x, and where there is one, an id.

    Columns are known by the names that trackpy, TrackMate (its spots table with three more header lines), LapTrack,
    btrack, napari (points layer), scikit-image and CellProfiler give them. Frames keep the table's numbers in all
    outputs; inside they count from 0, from the first one with a point, and in steps of the largest number that divides
    all differences (a table of frames 0, 10, 20 has three). A z that is the same everywhere makes a 2D movie.

    Args:
        source: A DataFrame, or a CSV, TSV or Parquet file; see `read_table`.
        columns: Columns to take, by role, such as {"y": "cy", "id": None}; found by name otherwise.
        stride: Take every `stride`-th frame.
        field_shape: Where the field ends, ((z,) y, x), in the table's units from 0 on; nobody knows by default.
        voxel_size: What a step of 1 is in micrometres, ((z,) y, x); cubes by default.
        interval: Seconds between the table's frames.

    Returns:
        Points sorted by frame, then id.

    Raises:
        InputError: A column is missing; a number is missing, or infinite; a frame is no whole number or negative; an
            id stands twice in a frame; a point lies outside the field; there are fewer than two frames.

    >>> import pandas as pd
    >>> spots = pd.DataFrame({"FRAME": [0, 1], "POSITION_X": [1.0, 2.0], "POSITION_Y": [5.0, 5.0]})
    >>> read_points_table(spots).describe()
    'the table: 2 points in 2 frames (0 to 1), columns frame = FRAME, y = POSITION_Y, x = POSITION_X'
    """
    if stride < 1:
        raise InputError(f"stride must be at least 1, got {stride}")
    table, unit = _without_units(read_table(source))
    found = choose_columns(list(table.table.columns), columns, table.name)
    taken = dict(found)
    values = {role: finite(table, name) for role, name in taken.items() if role != "id"}
    notes: list[str] = []
    if "z" in values and np.ptp(values["z"]) == 0 and (voxel_size is None or len(voxel_size) == 2):
        notes.append(f"{taken.pop('z')} is {values.pop('z')[0]:g} everywhere, so this is a 2D movie")
    axes = [axis for axis in "zyx" if axis in values]
    if unit in _MICRONS and voxel_size is None:
        voxel_size = (1.0,) * len(axes)
        notes.append("its unit is the micrometre")
    check_scale(voxel_size, interval, len(axes))
    coords = np.stack([values[axis] for axis in axes], axis=1)
    check_coords(table, coords, field_shape)

    frame, first, step = _frames(table, values["frame"], taken["frame"])
    names = None if "id" not in taken else _names(table, taken["id"])
    label, names = _labels(table, values["frame"].astype(np.int64), names, taken.get("id", ""))
    warn_of_same_place(table, frame, coords)
    kept = np.flatnonzero(frame % stride == 0)
    n_frames = int(frame.max()) // stride + 1
    if n_frames < 2:
        keeps = f", of which stride {stride} keeps one" if stride > 1 and frame.max() else ""
        raise InputError(
            f"{table.name} has points in {int(frame.max()) + 1} frame(s) of {taken['frame']}{keeps}; tracking needs "
            "at least two"
        )
    cells = Detections.from_points(
        frame[kept] // stride,
        coords[kept],
        None if label is None else label[kept],
        n_frames,
        sort=True,
        voxel_size=None if voxel_size is None else tuple(float(edge) for edge in voxel_size),
        interval=None if interval is None else float(interval) * stride,
    )
    row = kept[cells.row]
    if step > 1:
        notes.append(f"frames are numbered in steps of {step}")
    empty = n_frames - len(np.unique(cells.frame))
    if empty:
        notes.append(f"{empty} of the frames hold no point")
    return PointsTable(
        replace(
            cells,
            row=row,
            stride=stride,
            features=_features(table, found, row),
            field_shape=None if field_shape is None else tuple(math.ceil(edge) for edge in field_shape),
            naming=Naming(first, step * stride, None if names is None else names[row]),
        ),
        taken,
        Path(table.name).name,
        tuple(notes),
    )


def _without_units(table: SourceTable) -> tuple[SourceTable, str]:
    """Without the lines below the header that TrackMate has there, and the unit of its coordinates."""
    known = table.table
    if not {"FRAME", "POSITION_X"} <= set(known.columns) or not table.is_text:
        return table, ""
    above = int(np.argmax(~np.isnan(table.numbers("FRAME")))) if len(known) else 0
    if above != _HEADER_ROWS:
        return table, ""
    unit = str(known["POSITION_X"].iloc[_HEADER_ROWS - 1]).strip().strip("()")
    return table.from_row(_HEADER_ROWS), unit


def _frames(
    table: SourceTable, numbers: NDArray[np.float64], column: str
) -> tuple[NDArray[np.int64], int, int]:
    """Frames from 0 on, the number of the first, and the step between numbers."""
    broken = np.flatnonzero((numbers != np.floor(numbers)) | (numbers < 0) | (numbers > _LARGEST))
    if len(broken):
        at = int(broken[0])
        raise InputError(
            f"{column} in {table.where(at)} is {numbers[at]:g}; expected whole numbers of frames from 0 on (for "
            "times, divide by the interval and round; for another column say --columns frame=NAME)"
        )
    there, frame = np.unique(numbers.astype(np.int64), return_inverse=True)
    first = int(there[0])
    step = int(np.gcd.reduce(there - first)) or 1
    index = (there - first) // step
    if index[-1] > _LONG and index[-1] > _SPARSE * len(there):
        raise InputError(
            f"{column} of {table.name} goes from {first} to {there[-1]} but only {len(there)} of these frames hold a "
            "point; expected frame numbers, most of them with points"
        )
    return index[frame], first, step


def _names(table: SourceTable, column: str) -> NDArray[Any]:
    """Ids as int64 where all are whole numbers, else as text."""
    values = table.table[column]
    text = values.astype(str).str.strip()
    empty = np.flatnonzero(values.isna() | (text == ""))
    if len(empty):
        raise InputError(
            f"{column} in {table.where(int(empty[0]))} is empty; expected an id a point, or say --columns id= for none"
        )
    numbers = table.numbers(column)
    whole = bool(np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all())
    if whole and np.abs(numbers).max() <= _LARGEST and not text.str.fullmatch(r"[+-]?0\d+").any():
        return numbers.astype(np.int64)
    return text.to_numpy(np.str_)


def _labels(
    table: SourceTable, frame: NDArray[np.int64], names: NDArray[Any] | None, column: str
) -> tuple[NDArray[np.int64] | None, NDArray[Any] | None]:
    """Labels from 1 on, and names where these are not the labels."""
    if names is None:
        return None, None
    rank = np.unique(names, return_inverse=True)[1]
    order = np.lexsort((rank, frame))
    same = np.flatnonzero((np.diff(frame[order]) == 0) & (np.diff(rank[order]) == 0))
    if len(same):
        one, other = sorted(order[same[0] : same[0] + 2].tolist())
        raise InputError(
            f"{column} {names[one]} stands twice in frame {frame[one]} ({table.where(one)} and {table.where(other)}); "
            "expected ids of points, one each: remove the double, or say --columns id= if it is no id"
        )
    if names.dtype.kind == "i" and names.min() >= 1:
        return names, None
    label = np.empty(len(names), np.int64)
    label[order] = np.arange(len(order)) - np.searchsorted(frame[order], frame[order]) + 1
    return label, names


def _features(
    table: SourceTable, taken: Mapping[str, str], row: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    found = {}
    for column in feature_columns(list(table.table.columns), taken):
        with np.errstate(over="ignore"):  # infinite then, and left out
            values = table.numbers(column)[row].astype(np.float32)
        if np.isfinite(values).all():
            found[column] = values[:, None]
    return found
