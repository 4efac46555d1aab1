"""What the tables and settings in a folder of results must hold, which people open and change in other programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError

_WHOLE = ("frame", "track")
_WHOLE_OR_EMPTY = ("mother_frame",)
_FINITE = ("z", "y", "x", "z_um", "y_um", "x_um", "time_s")
_SHARES = ("probability",)
_YES_OR_NO = ("selected",)
_NUMBERS = (
    "score", "confidence", "entropy", "p_appear", "p_divide", "p_disappear", "p_missed", "p_false", "p_merged",
    "p_split", "error_bound", "covered_mass",
)  # fmt: skip
_ROUNDING = 1e-5
_LARGEST = 2**53
"""From which on floats cannot tell whole numbers apart."""


def checked_table(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """A table of cells or links whose columns hold what `torchtrack-uq track` writes; columns of others as they are.

    Args:
        table: As read, without types.
        file: Where it is from, for the message.

    Returns:
        Frames and tracks as int64 (`mother_frame` as Int64), chosen or not as bool, the rest as floats.

    Raises:
        InputError: A number is missing, broken, infinite or none; a probability is beyond 0 to 1.

    >>> checked_table(pd.DataFrame({"frame": ["0", "1.0"]}), Path("cells.csv"))["frame"].tolist()
    [0, 1]
    """
    changed = {str(name): _checked(table[name], file) for name in table if name in _KINDS}
    return table.assign(**changed)


def _checked(column: "pd.Series[Any]", file: Path) -> "pd.Series[Any]":
    expected = _KINDS[str(column.name)]
    if expected == "True or False":
        truth = column.map({True: 1.0, False: 0.0, "True": 1.0, "False": 0.0})
        values = truth.to_numpy(np.float64)
        good = ~np.isnan(values)
    else:
        values = _numbers(column)
        empty = column.isna().to_numpy()
        with np.errstate(invalid="ignore"):
            whole = (values == np.round(values)) & (np.abs(values) < _LARGEST)
            good = {
                "a whole number": whole,
                "a whole number or nothing": whole | empty,
                "a finite number": np.isfinite(values),
                "a probability": (values >= -_ROUNDING) & (values <= 1 + _ROUNDING),
                "a number or nothing": ~np.isnan(values) | empty,
            }[expected]
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        value = column.iloc[row]
        given = "empty" if pd.isna(value) or value == "" else f"{str(value)[:30]!r}"
        raise InputError(f"{file}: {column.name} of row {row} is {given}; expected {expected}")
    if expected == "True or False":
        return pd.Series(values > 0, index=column.index)
    if expected == "a whole number":
        return pd.Series(values.astype(np.int64), index=column.index)
    if expected == "a whole number or nothing":
        return pd.Series(values, index=column.index).astype("Int64")
    return pd.Series(values, index=column.index)


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """As float64, NaN for what is none, and for integers of hundreds of digits, which pandas keeps as Python's."""
    try:
        return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    except OverflowError:
        return pd.to_numeric(column.astype(str), errors="coerce").to_numpy(np.float64, na_value=np.nan)


_KINDS: Mapping[str, str] = {
    **dict.fromkeys(_WHOLE, "a whole number"),
    **dict.fromkeys(_WHOLE_OR_EMPTY, "a whole number or nothing"),
    **dict.fromkeys(_FINITE, "a finite number"),
    **dict.fromkeys(_SHARES, "a probability"),
    **dict.fromkeys(_YES_OR_NO, "True or False"),
    **dict.fromkeys(_NUMBERS, "a number or nothing"),
}


def check_input(settings: Mapping[str, Any], n_axes: int, file: Path) -> None:
    """Voxel size, interval, diameter, shape and paths in settings are such, where they are given.

    Args:
        settings: All of `settings.json`.
        n_axes: Number of spatial axes of the cells.
        file: Where it is from, for the message.

    Raises:
        InputError: They are not.
    """
    known = settings.get("input", {})
    if not isinstance(known, Mapping):
        raise InputError(f"{file}: input is {str(known)[:30]!r}; expected a mapping")

    def check(name: str, good: bool, expected: str) -> None:
        if not good:
            raise InputError(f"{file}: {name} of the input is {str(known[name])[:30]!r}; expected {expected}")

    for name in ("interval_s", "median_diameter_px"):
        value = known.get(name)
        check(name, value is None or _positive(value), "a positive number, or null")
    size, shape = known.get("voxel_size_um"), known.get("frame_shape")
    fits = isinstance(size, list) and len(size) == n_axes and all(map(_positive, size))
    check("voxel_size_um", size is None or fits, f"{n_axes} positive numbers, or null")
    fits = isinstance(shape, list) and len(shape) == n_axes and all(isinstance(n, int) for n in shape)
    check("frame_shape", shape is None or fits, f"{n_axes} whole numbers, or null")
    n_frames = known.get("n_frames")
    check(
        "n_frames",
        n_frames is None or (isinstance(n_frames, int) and n_frames >= 0),
        "a whole number, or null",
    )
    for name in ("images", "masks"):
        source = known.get(name)
        fits = isinstance(source, Mapping) and isinstance(source.get("path"), str | None)
        check(name, source is None or fits, "a mapping with a path, or null")


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < 1e300
