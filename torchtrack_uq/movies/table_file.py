"""Tables as people bring them: CSV, TSV, either gzipped, Parquet, or a DataFrame, with the place of every row."""

import gzip
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError

TableLike = str | os.PathLike[str] | pd.DataFrame
_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class SourceTable:
    """A table that was read, and where its rows stand.

    Attributes:
        name: Of the file, or "the table".
        table: With columns of text for text files, else as they came.
        line: (R,) of each row: the line of a text file counted from 1, or the row counted from 0.
        is_text: Whether rows are lines of a text file.
        decimal_comma: Whether numbers may have a comma for a point, as where semicolons separate columns.
    """

    name: str
    table: pd.DataFrame
    line: NDArray[np.int64]
    is_text: bool = False
    decimal_comma: bool = False

    def where(self, row: int) -> str:
        """Place of a row, counted from 0, in words."""
        return f"{'line' if self.is_text else 'row'} {self.line[row]} of {self.name}"

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(R,) float64, a column as numbers; NaN for what is none."""
        values = self.table[column]
        if self.decimal_comma:
            values = values.str.replace(",", ".", regex=False)
        return pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)

    def from_row(self, row: int) -> "SourceTable":
        """The table without its first rows."""
        return SourceTable(
            self.name,
            self.table.iloc[row:].reset_index(drop=True),
            self.line[row:],
            self.is_text,
            self.decimal_comma,
        )


def read_table(source: TableLike, row: str = "a point") -> SourceTable:
    """Read a table without taking any of its values for anything yet.

    Args:
        source: A DataFrame, or a file: `.parquet`, or text in UTF-8 or Latin-1 with a header line, whose columns are
            separated by commas, semicolons or tabs, gzipped or not.
        row: What a row of it is, for messages.

    Raises:
        InputError: It cannot be read, is empty, or names a column twice.

    >>> table = read_table(pd.DataFrame({"frame": [0, 1], "x": [5.0, 6.0]}))
    >>> table.where(1), table.numbers("x")
    ('row 1 of the table', array([5., 6.]))
    """
    if isinstance(source, pd.DataFrame):
        return _of_frame(source, "the table", row)
    path = Path(source).expanduser()
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a table with {row} a row, CSV or Parquet")
    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            return _of_frame(pd.read_parquet(path), path.name, row)
        except ImportError as error:
            raise InputError(
                f"reading {path.name} needs pyarrow: pip install pyarrow, or save the table as CSV"
            ) from error
        except Exception as error:  # whatever pyarrow and pandas meet in a damaged file
            raise InputError(f"{path} cannot be read as Parquet: {error}") from error
    return _of_text(_text(path, row), path.name, row)


def _of_frame(table: pd.DataFrame, name: str, row: str) -> SourceTable:
    known = [level for level in table.index.names if level is not None and level not in table.columns]
    if known:  # such as frame and index, of LapTrack
        table = table.reset_index(level=known)
    table = table.reset_index(drop=True).set_axis([str(column) for column in table.columns], axis=1)
    _check(table, name, row)
    return SourceTable(name, table, np.arange(len(table)))


def _text(path: Path, row: str) -> str:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; expected a table with {row} a row") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if b"\0" in content[:1000] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is no text; expected a table with {row} a row, CSV or Parquet")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} begins as UTF-16 and goes on as something else: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _of_text(text: str, name: str, row: str) -> SourceTable:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(_SEPARATORS, key=header.count)
    try:
        rows = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,  # pandas renames columns that stand there twice otherwise
            dtype=str,
            skip_blank_lines=False,  # so that rows are lines
            skipinitialspace=True,
            keep_default_na=False,
        ).fillna("")
    except pd.errors.EmptyDataError:
        rows = pd.DataFrame()
    except ValueError as error:
        raise InputError(f"{name} cannot be read as a table: {str(error).strip()}") from error
    filled = np.flatnonzero((rows != "").any(axis=1)) if len(rows) else np.zeros(0, np.int64)
    if not len(filled):
        raise InputError(f"{name} is empty; expected a header line, and below it {row} a row")
    rows = rows.iloc[filled]
    table = rows.iloc[1:].set_axis([str(column).strip() for column in rows.iloc[0]], axis=1)
    table = table.loc[:, table.columns != ""].reset_index(drop=True)
    _check(table, name, row)
    return SourceTable(name, table, filled[1:] + 1, True, separator == ";")


def _check(table: pd.DataFrame, name: str, row: str) -> None:
    columns: list[Any] = list(table.columns)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InputError(f"{name} has several columns {', '.join(twice)}; expected one of each")
    if not len(table):
        raise InputError(
            f"{name} has a header ({', '.join(columns)}) and no row below it; expected {row} a row"
        )
