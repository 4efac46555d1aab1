"""Results as people and programs read them: a page in Markdown with its tables as CSV beside it."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd

from torchtrack_uq.utils.files import write_atomically

Kept = TypeVar("Kept")


def write_csv(file: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """A table as CSV, all at once or not at all."""
    text = table.to_csv(index=False, float_format=float_format, lineterminator="\n")
    write_atomically(file, text.encode())


def kept(file: Path, make: Callable[[], Kept]) -> Kept:
    """What `make` returns, made once and read from then on; whatever JSON holds.

    Args:
        file: That keeps it; written all at once.
        make: Is called where there is no such file.
    """
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(make()).encode())
    found: Kept = json.loads(file.read_text())
    return found


def write_results(
    folder: Path,
    name: str,
    page: str | Iterable[str],
    tables: Mapping[str, pd.DataFrame],
    float_format: str | None = None,
    *,
    show: bool = True,
) -> None:
    """Write `NAME.md` and one CSV a table into a folder, and print the page.

    Args:
        folder: Made if it is not there.
        name: Of the page.
        page: In Markdown: the text, or its lines.
        tables: By file name, without ".csv".
        float_format: Of numbers in the CSVs, such as "%.4f".
        show: False prints nothing.
    """
    text = page if isinstance(page, str) else "\n".join(page)
    for file, table in tables.items():
        write_csv(folder / f"{file}.csv", table, float_format)
    write_atomically(folder / f"{name}.md", text.encode())
    if show:
        print(text)
