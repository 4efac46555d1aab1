"""CSV files of other programs as tables: header rows, separators and numbers as each program writes them."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError

LARGEST_WHOLE = 2**53
"""Whole numbers up to here are exact as floats."""
SUFFIXES = (".csv", ".txt", ".tsv", ".csv.gz")
_COORDINATES = (
    ("z", "y", "x"),
    ("position_z", "position_y", "position_x"),
    ("centroid-0", "centroid-1", "centroid-2"),
    ("centroid_0", "centroid_1", "centroid_2"),
    ("axis-0", "axis-1", "axis-2"),
)


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as a table, with commas, semicolons, tabs or blanks, and further header rows taken into column names.

    Where semicolons separate columns, numbers may have a comma for a point.

    TrackMate has names, long names, short names and units in rows 0 to 3; Mastodon names, components ("X", "Source spot
    id") and units in rows 0 to 2, and columns are called "Spot position X" here. `attrs["unit"]` is the unit that is
    stated for positions, without brackets.

    Raises:
        InputError: The file cannot be read as a table.
    """
    try:
        separator, encoding = _layout(path)
        raw = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            encoding=encoding,
            encoding_errors="replace",
            header=None,
        )
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table: {str(error).strip()}") from error
    names = [str(name).strip() for name in raw.iloc[0]]
    n_headers, unit = 1, None
    ids = [name for name in ("ID", "SPOT_SOURCE_ID") if name in names]
    if ids and ("POSITION_X" in names or "SPOT_SOURCE_ID" in names):
        n_headers = 1 + _rows_of_words(raw, names.index(ids[0]))
        if n_headers > 1 and "POSITION_X" in names:
            unit = str(raw.iloc[n_headers - 1, names.index("POSITION_X")]).strip().strip("()") or None
    elif names[:2] == ["Label", "ID"]:
        n_headers = 1 + _rows_of_words(raw, 1)
        parts = [str(part).strip() for part in raw.iloc[1]] if n_headers > 1 else []
        names = _filled(names, parts)
        if n_headers > 2 and "Spot position X" in names:
            unit = str(raw.iloc[2, names.index("Spot position X")]).strip().strip("()") or None
    table = raw.iloc[n_headers:].reset_index(drop=True)
    table.columns = pd.Index(names)
    for name in names:
        if names.count(name) == 1:
            text = table[name].str.replace(",", ".", regex=False) if separator == ";" else table[name]
            numbers = pd.to_numeric(text.mask(text == ""), errors="coerce")
            if numbers.notna().sum() == (table[name] != "").sum():
                table[name] = numbers
    table.attrs["unit"] = unit
    return table


def coordinates(table: pd.DataFrame, source: str) -> NDArray[np.float64]:
    """(N, D) positions of a table's rows, by the names that columns of positions usually have.

    Raises:
        InputError: There are none, or they hold something else than numbers.

    >>> coordinates(pd.DataFrame({"x": [1], "y": [2]}), "an example")
    array([[2., 1.]])
    """
    known = {str(name).lower(): name for name in table.columns}
    for names in _COORDINATES:
        wanted = names[-2:] if "-" not in names[0] and "_0" not in names[0] else names[:2]
        if all(name in known for name in wanted):
            found = [known[name] for name in names if name in known]
            return np.stack([numbers_of(table, name, source) for name in found], axis=1)
    raise InputError(
        f"{source}: no column holds positions; expected (z,) y, x among {', '.join(map(str, table.columns[:12]))}"
    )


def without_flat_z(coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) positions without a z that is 0 everywhere, as 2D movies have it where the format knows 3D only.

    >>> without_flat_z(np.array([[0.0, 5.0, 6.0]]))
    array([[5., 6.]])
    """
    return coords[:, 1:] if coords.shape[1] == 3 and not coords[:, 0].any() else coords


def unit_of(stated: str | None) -> str | None:
    """The unit as `TrackTable.unit` has it: "pixel" however that is spelled.

    >>> unit_of("pixels"), unit_of("micron")
    ('pixel', 'micron')
    """
    return "pixel" if stated in ("pixel", "pixels") else stated


def has(table: pd.DataFrame, *names: str) -> bool:
    """Whether a table has all of these columns, or levels of its index."""
    return set(names) <= {*table.columns, *table.index.names}


def column(table: pd.DataFrame, name: str, source: str) -> NDArray[np.int64]:
    """(N,) whole numbers of a column or of a level of the index.

    Raises:
        InputError: There is no such column, or it holds something else.
    """
    values = _values(table, name, source)
    if values.dtype.kind in "iu":  # floats would make one of two large ids
        return values.astype(np.int64)
    numbers = _as_numbers(values, name, source)
    for row in np.flatnonzero(~((np.abs(numbers) <= LARGEST_WHOLE) & (numbers == np.floor(numbers)))):
        raise InputError(f"{source}: {name} of row {row} is {numbers[row]}; expected whole numbers")
    return numbers.astype(np.int64)


def numbers_of(table: pd.DataFrame, name: str, source: str) -> NDArray[np.float64]:
    """(N,) numbers of a column or of a level of the index, NaN where it is empty.

    Raises:
        InputError: There is no such column, there are two, or it holds something else.
    """
    return _as_numbers(_values(table, name, source), name, source)


def check_single(table: pd.DataFrame, names: Sequence[str], source: str) -> None:
    """Raise InputError where a table has several columns of one of these names."""
    for name in names:
        if list(table.columns).count(name) > 1:
            raise InputError(f"{source}: there are several columns {name}; expected one")


def _values(table: pd.DataFrame, name: str, source: str) -> NDArray[Any]:
    check_single(table, [name], source)
    if name in table.columns:
        return table[name].to_numpy()
    if name in table.index.names:
        return table.index.get_level_values(name).to_numpy()
    raise InputError(f"{source}: there is no column {name}; expected one")


def _as_numbers(values: NDArray[Any], name: str, source: str) -> NDArray[np.float64]:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: column {name} holds what is no number: {error}") from error


def _layout(path: Path) -> tuple[str, str]:
    """What separates columns, and the encoding."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            start = stream.read(1 << 16)
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    line = start.decode(encoding, errors="replace").partition("\n")[0]
    counts = {mark: line.count(mark) for mark in (",", ";", "\t", " ")}
    return "," if counts[","] else max(counts, key=lambda mark: counts[mark]), encoding


def _rows_of_words(raw: pd.DataFrame, at: int) -> int:
    """How many rows after the first have no number in a column."""
    numbers = pd.to_numeric(raw.iloc[1:, at], errors="coerce").notna().to_numpy()
    return int(numbers.argmax()) if numbers.any() else len(numbers)


def _filled(names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Names with their components; a name that is empty is that of the column before."""
    filled, last = [], ""
    for name, part in zip(names, parts or [""] * len(names), strict=True):
        last = name or last
        filled.append(f"{last} {part}".strip())
    return filled
