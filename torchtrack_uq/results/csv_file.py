"""Large tables as CSV, in pieces and by column: twenty times as fast as row by row, in memory that does not grow."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.results.number_text import number_texts, whole_texts
from torchtrack_uq.utils.formula_cells import guarded
from torchtrack_uq.utils.kernel import kernel

_ROWS = 100_000
"""Of a piece, some 20 MB."""
_COMMA, _NEWLINE = np.frombuffer(b",\n", np.uint8)
_FLAGS = np.frombuffer(b"FalseTrue\0", np.uint8).reshape(2, 5)


def write_csv(file: Path, table: pd.DataFrame, *, header: bool = True) -> None:
    r"""Write a table as UTF-8 with a header, numbers as `number_text` makes them, what is not known empty.

    The same bytes as `DataFrame.to_csv(index=False, float_format=number_text, lineterminator="\n")`, but for texts that
    a spreadsheet would run (`guarded`). Without a header, it is a part of a table that others begin.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(Path(folder) / "t.csv", pd.DataFrame({"a": [1, 2], "b": [0.25, np.nan], "c": ["x", "y,z"]}))
    ...     print((Path(folder) / "t.csv").read_text(), end="")
    a,b,c
    1,0.25,x
    2,,"y,z"
    """
    with file.open("wb") as stream:
        if header:
            stream.write(_row(table.columns))
        for begin in range(0, len(table), _ROWS):
            stream.write(_lines(table.iloc[begin : begin + _ROWS]))


def _lines(piece: pd.DataFrame) -> bytes:
    parts: list[NDArray[np.uint8]] = []
    for k in range(piece.shape[1]):
        parts += [_texts(piece.iloc[:, k]), np.broadcast_to(_COMMA, (len(piece), 1))]
    parts[-1] = np.broadcast_to(_NEWLINE, (len(piece), 1))
    flat: NDArray[np.uint8] = np.concatenate(parts, axis=1).ravel()
    return bytes(flat[: _close_ranks(flat)].tobytes())


@kernel
def _close_ranks(flat: NDArray[np.uint8]) -> int:
    """Move what is not zero to the front, in order and in place; how many there are."""
    n = 0
    for byte in flat:
        flat[n] = byte
        if byte != 0:
            n += 1
    return n


def _texts(column: Any) -> NDArray[np.uint8]:
    """(n, W) one text a row, zeros where there is no character."""
    known = column.notna().to_numpy()
    kind = getattr(column.dtype, "numpy_dtype", column.dtype)  # of nullable numbers, too
    if isinstance(kind, np.dtype) and kind.kind in "iubf":
        values = column.to_numpy(kind) if known.all() else column.to_numpy(kind, na_value=kind.type(0))
        if kind.kind == "f":
            texts = number_texts(values)
        else:
            texts = _FLAGS[values.astype(np.int64)] if kind.kind == "b" else whole_texts(values)
    else:
        code, words = pd.factorize(column)
        safe = [guarded(word) if isinstance(word, str) else word for word in words]
        row = [_row([word])[:-1].removeprefix(b'""') for word in safe]
        found = np.array([*row, b""])
        texts = found.view(np.uint8).reshape(len(found), -1)[code]
    return texts if known.all() else np.where(known[:, None], texts, np.uint8(0))


def _row(entries: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(entries)
    return text.getvalue().encode()
