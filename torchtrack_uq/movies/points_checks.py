"""What points of a table must be like."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.scale import by_axis
from torchtrack_uq.movies.table_file import SourceTable

_FLOAT32 = 1e-5
"""Share of the extent of all points that a coordinate may be off as float32."""


def finite(table: SourceTable, column: str) -> NDArray[np.float64]:
    """A column of numbers.

    Raises:
        InputError: One of them is missing, infinite, or no number.
    """
    found = table.numbers(column)
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        value = table.table[column].iloc[bad[0]]
        given = "empty" if pd.isna(value) or value == "" else repr(value)
        more = f", and {len(bad) - 1} more like it" if len(bad) > 1 else ""
        raise InputError(
            f"{column} in {table.where(int(bad[0]))} is {given}{more}; expected a finite number: remove such points"
        )
    return found


def check_coords(
    table: SourceTable, coords: NDArray[np.float64], field_shape: Sequence[float] | None
) -> None:
    """Refuse points outside a field, and coordinates that float32 cannot tell apart.

    Args:
        table: Where the points are from.
        coords: (N, D) their coordinates.
        field_shape: Where the field ends along each axis, if that is known.

    Raises:
        InputError: Either.
    """
    if np.abs(coords).max() > np.finfo(np.float32).max:
        raise InputError(
            f"coordinates of {table.name} reach {np.abs(coords).max():.3g}, beyond what float32 holds; expected "
            "positions in pixels or micrometres"
        )
    extent = np.ptp(coords, axis=0).max()
    largest = np.float32(np.abs(coords).max())
    if extent > 0 and not np.spacing(largest) <= _FLOAT32 * extent:
        raise InputError(
            f"coordinates of {table.name} reach {largest:.6g} but differ by {extent:.3g} at most, too little for "
            "float32; subtract an offset from them"
        )
    if field_shape is None:
        return
    field = np.asarray(field_shape, dtype=np.float64)
    if field.shape != coords.shape[1:] or not (np.isfinite(field) & (field > 0)).all():
        raise InputError(
            f"the field is {', '.join(f'{edge:g}' for edge in field)}; expected {coords.shape[1]} positive numbers, as "
            f"points of {table.name} have"
        )
    outside = np.flatnonzero(((coords < -0.5) | (coords > field)).any(axis=1))
    if len(outside):
        at = int(outside[0])
        raise InputError(
            f"the point in {table.where(at)} lies at {', '.join(f'{c:g}' for c in coords[at])}, outside the field of "
            f"{by_axis(field.tolist())}; are axes or units others?"
        )


def warn_of_same_place(table: SourceTable, frame: NDArray[np.int64], coords: NDArray[np.float64]) -> None:
    """Say where a frame has two points at exactly the same place: a table may hold cells twice."""
    order = np.lexsort((*coords.T, frame))
    same = (np.diff(frame[order]) == 0) & (np.diff(coords[order], axis=0) == 0).all(axis=1)
    if same.any():
        at = int(np.flatnonzero(same)[0])
        one, other = sorted(order[at : at + 2].tolist())
        warnings.warn(
            f"{int(same.sum())} point(s) lie exactly where another one of their frame lies, the first in "
            f"{table.where(other)} ({table.where(one)}); they count as cells of their own",
            stacklevel=3,
        )
