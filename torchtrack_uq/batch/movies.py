"""The table of movies: a row is one call of `torchtrack-uq track`, checked before anything runs."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.table_file import SourceTable, read_table

INPUTS = ("images", "masks", "points")
_PATHS = (*INPUTS, "temperature", "model")
"""Options that may name a file, which is looked for beside the table."""
_YES, _NO = {"yes", "true", "1"}, {"no", "false", "0", ""}
_SAFE_NAME = re.compile(r"[^\W_][\w .()+=,@-]{0,150}")
LOGS, TABLE = "logs", "batch.csv"
"""Folder of what each run said, and the table of how each went: no movie can have their names."""
_SHOWN = 5
"""Rows that are wrong and named; how many more there are is said."""


@dataclass(frozen=True)
class BatchMovie:
    """One movie of a table.

    Attributes:
        name: Of its folder of results.
        arguments: Of `torchtrack-uq track`, but for the output.
        inputs: Files and folders that its results depend on: what it is read from, and a calibration or model.
    """

    name: str
    arguments: tuple[str, ...]
    inputs: tuple[Path, ...]


def read_movies(
    file: Path, options: Mapping[str, bool], check: Callable[[list[str]], str | None], common: list[str]
) -> list[BatchMovie]:
    """The movies of a table, in its order.

    Args:
        file: CSV, TSV or Parquet with a column `masks` or `points`, perhaps `images`, `name`, and any other option of
            `track` by its long name; what is empty is not given. Paths are relative to the folder that the file is in.
        options: Long names of the options of `track` without dashes, and whether each is a flag.
        check: Says what is wrong with the arguments of `track`, or nothing.
        common: Arguments for all movies, before those of a row, which win.

    Raises:
        InputError: The table cannot be read, has unknown columns, or rows that `track` would refuse by their arguments,
            whose inputs are not there, or whose name is no name of a folder or comes twice; the first five are named.
    """
    table = read_table(file, "a movie")
    columns = {str(name): _option(str(name)) for name in table.table.columns}
    known = {*options, "name"}
    if unknown := [name for name, option in columns.items() if option not in known]:
        raise InputError(
            f"{file} has the column(s) {', '.join(unknown)}; expected name, {', '.join(INPUTS)} and other options of "
            f"`torchtrack-uq track` by their long names, such as tracker, stride or voxel-size"
        )
    if not {"masks", "points"} & set(columns.values()):
        raise InputError(f"{file} has neither a column masks nor points, which say where the cells are")
    movies: dict[str, BatchMovie] = {}
    wrong: list[str] = []
    for k in range(len(table.table)):
        row = {option: _text(table, name, k) for name, option in columns.items()}
        try:
            movie = _movie(row, options, file.resolve().parent, common)
            if (refused := check(list(movie.arguments))) is not None:
                raise InputError(refused)
            if (twice := movies.get(movie.name.casefold())) is not None:
                raise InputError(
                    f"a second movie would be called {twice.name}; give each a name of its own in the column name"
                )
        except InputError as error:
            wrong.append(f"{table.where(k)}: {error}")
            continue
        movies[movie.name.casefold()] = movie
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more rows)" if len(wrong) > _SHOWN else ""
        raise InputError("; ".join(wrong[:_SHOWN]) + more)
    return list(movies.values())


def _option(column: str) -> str:
    return column.strip().lower().replace("_", "-").lstrip("-")


def _text(table: SourceTable, column: str, row: int) -> str:
    value = table.table[column].iloc[row]
    return "" if value is None or value != value else str(value).strip()


def _movie(row: dict[str, str], options: Mapping[str, bool], beside: Path, common: list[str]) -> BatchMovie:
    arguments, inputs = list(common), []
    settings = {  # files of options for all movies, unless the row has its own
        option: Path(text)
        for option, _, text in (one.removeprefix("--").partition("=") for one in common)
        if option in _PATHS and Path(text).exists()
    }
    for option, text in row.items():
        if option == "name" or (not text and not options[option]):
            continue
        if options[option]:
            if text.lower() not in _YES | _NO:
                raise InputError(f"{option} is {text!r}; expected yes or no")
            arguments += [f"--{option}"] * (text.lower() in _YES)
            continue
        if option in _PATHS:
            path = beside / Path(text).expanduser()
            settings.pop(option, None)
            if option in INPUTS and not path.exists():
                raise InputError(f"{path} is not there; paths are relative to the table's folder")
            if path.exists():
                inputs.append(path)
                text = str(path)
        arguments.append(f"--{option}={text}")
    given = row.get("points") or row.get("masks") or ""
    name = unicodedata.normalize("NFC", row.get("name") or Path(given).stem)  # macOS writes ü in two pieces
    if not _SAFE_NAME.fullmatch(name) or name.casefold() in (LOGS, TABLE) or name.endswith((" ", ".")):
        raise InputError(
            f"{name!r} is no name for a folder of results; expected letters, digits, spaces and .()+=,@_-, "
            f"a letter or digit first, and neither {LOGS} nor {TABLE}"
        )
    return BatchMovie(name, tuple(arguments), (*inputs, *settings.values()))
