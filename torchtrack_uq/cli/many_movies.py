"""`torchtrack-uq batch`."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from torchtrack_uq.cli import track
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.progress import with_progress

if TYPE_CHECKING:
    from torchtrack_uq.batch.movies import BatchMovie
    from torchtrack_uq.batch.record import BatchRecord, MovieRow
    from torchtrack_uq.batch.same_work import Fingerprint

_OURS = {"help", "output", "overwrite", "quiet"}
_OF_ONE = {"images", "masks", "points"}
_SHOWN = 5
"""Folders named that are in the way; how many more there are is said."""
_WITHOUT = " (without --overwrite, which does all anew)"


class _Refusing(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def add_commands(commands: Any) -> None:
    """Add `batch` to a parser's commands."""
    parser = commands.add_parser(
        "batch",
        help="track many movies, several at a time, on this machine or a cluster; goes on where it was stopped",
        description="Track every movie of a table. Its columns are masks or points, perhaps images and name, and any "
        "other option of `track`; options given here hold for all movies whose row says nothing else. Each movie gets "
        "a folder; batch.csv says how each went. A movie that fails is left out and the others go on. Given again, the "
        "same command does what is left, and refuses to mix with what was made in another way.",
    )
    parser.add_argument(
        "movies", type=Path, metavar="MOVIES", help="table, CSV, TSV or Parquet: a row a movie"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for the folders of all movies"
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="movies at a time on this machine (default: as many as cores)",
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run on this dask cluster, whose workers see the same files"
    )
    parser.add_argument("--overwrite", action="store_true", help="do all movies anew, replacing results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("for all movies", "as `torchtrack-uq track` takes them")
    for name, action in _track_options().items():
        if name in _OF_ONE:
            continue
        said = (action.help or "").replace("%(default)s", str(action.default))  # here nothing is a default
        if action.nargs == 0:
            group.add_argument(f"--{name}", action="store_true", help=said)
        else:
            group.add_argument(f"--{name}", choices=action.choices, metavar=action.metavar, help=said)
    parser.set_defaults(run=_batch)


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; expected 1 or more")
    return int(text)


def _track_parser() -> argparse.ArgumentParser:
    parser = _Refusing(add_help=False)
    commands = parser.add_subparsers(dest="command", parser_class=_Refusing)
    track.add_commands(commands)
    return parser


def _track_options() -> dict[str, argparse.Action]:
    """Options of `track` by their long names, but for those that a batch decides."""
    commands = next(one for one in _track_parser()._actions if isinstance(one, argparse._SubParsersAction))
    found = {}
    for action in commands.choices["track"]._actions:
        name = next((one[2:] for one in action.option_strings if one.startswith("--")), "")
        if name and name not in _OURS:
            found[name] = action
    return found


def _check_arguments(arguments: list[str]) -> str | None:
    try:
        _track_parser().parse_args(["track", "-o", "OUT", *arguments])
    except InputError as error:
        return str(error)
    return None


def _common(options: argparse.Namespace, known: dict[str, argparse.Action]) -> list[str]:
    given = []
    for name, action in known.items():
        value = getattr(options, name.replace("-", "_"), None)
        if value in (None, False):
            continue
        if name in ("temperature", "model") and Path(value).exists():
            value = Path(value).resolve()
        given.append(f"--{name}" if action.nargs == 0 else f"--{name}={value}")
    return given


def _batch(options: argparse.Namespace) -> None:
    from torchtrack_uq.batch.movies import read_movies
    from torchtrack_uq.utils.output_checks import check_apart
    from torchtrack_uq.utils.staged_folder import output_folder

    if options.dask is not None and options.workers is not None:
        raise InputError("--workers is for this machine and --dask for a cluster; give one of them")
    known = _track_options()
    flags = {name: action.nargs == 0 for name, action in known.items()}
    movies = read_movies(options.movies, flags, _check_arguments, _common(options, known))
    folder = options.output.resolve()
    check_apart(folder, {given for movie in movies for given in movie.inputs})
    with output_folder(folder, overwrite=True):  # what is there is looked at next
        _batch_into(folder, movies, options)


def _batch_into(folder: Path, movies: "list[BatchMovie]", options: argparse.Namespace) -> None:
    from torchtrack_uq.batch.movies import LOGS, TABLE
    from torchtrack_uq.batch.record import BatchRecord

    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOGS).mkdir(exist_ok=True)
    record = BatchRecord(folder)
    rows = _rows_so_far(movies, record, overwrite=options.overwrite)
    record.write_table(list(rows.values()))
    _run_rest(movies, record, rows, options)
    failed = [row for row in rows.values() if row.status == "failed"]
    done = len(rows) - len(failed)
    before = sum(row.status == "done before" for row in rows.values())
    print(f"{done} of {len(rows)} movies tracked" + (f", {before} of them before" if before else ""))
    for row in failed:
        print(f"{row.name} failed: {row.message} (all of it: {folder / LOGS / row.name}.txt)")
    print(f"how each went is in {folder / TABLE}")
    if failed:
        raise OSError(
            f"{len(failed)} of {len(rows)} movies failed; mend their rows or files, and give the same command again: "
            f"it does only these{_WITHOUT if options.overwrite else ''}"
        )


def _rows_so_far(
    movies: "list[BatchMovie]", record: "BatchRecord", *, overwrite: bool
) -> "dict[str, MovieRow]":
    """What is done already, and what waits; refuses what would be mixed."""
    from torchtrack_uq.batch.record import MovieRow
    from torchtrack_uq.batch.same_work import difference

    rows: dict[str, MovieRow] = {}
    wrong: list[str] = []
    for movie in movies:
        rows[movie.name] = MovieRow(movie.name, "waiting")
        results = record.folder / movie.name
        if overwrite or not results.exists() or (results.is_dir() and not any(results.iterdir())):
            continue
        noted = record.fingerprint(movie)
        differs = None if noted is None else difference(movie, noted)
        if not record.is_done(movie):
            wrong.append(f"{results} holds something else than results")
        elif noted is None:
            wrong.append(f"{results} is there already, and was not made by this batch")
        elif differs is not None:
            wrong.append(f"{results} was made with {differs}")
        elif record.is_earlier(movie, noted):
            wrong.append(f"{results} is from before the last run of this movie, which came to no results")
        else:
            try:
                rows[movie.name] = record.row_of(movie, "done before", noted["seconds"])
            except InputError as error:
                wrong.append(str(error))
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        them, anew = ("this folder", "this movie") if len(wrong) == 1 else ("these folders", "these movies")
        raise InputError(
            f"{'; '.join(wrong[:_SHOWN])}{more}: choose another output folder or name, delete {them} to do only "
            f"{anew} anew, or do all anew with --overwrite"
        )
    return rows


def _run_rest(
    movies: "list[BatchMovie]",
    record: "BatchRecord",
    rows: "dict[str, MovieRow]",
    options: argparse.Namespace,
) -> None:
    from torchtrack_uq.batch.same_work import fingerprint
    from torchtrack_uq.batch.schedule import run_here, run_on_cluster

    rest = [movie for movie in movies if rows[movie.name].status == "waiting"]
    prints: dict[str, Fingerprint] = {}

    def noted() -> "Iterator[BatchMovie]":
        for movie in rest:
            prints[movie.name] = fingerprint(movie)
            record.begin(movie, prints[movie.name])
            yield movie

    if options.dask is not None:
        outcomes = run_on_cluster(noted(), record.folder, overwrite=options.overwrite, address=options.dask)
    else:
        from torchtrack_uq.assignment.parallel import available_cores

        workers = min(options.workers or available_cores(), max(len(rest), 1))
        outcomes = run_here(noted(), record.folder, overwrite=options.overwrite, workers=workers)
    try:
        for movie, outcome in with_progress(outcomes, "Movies", show=not options.quiet, total=len(rest)):
            rows[movie.name] = record.end(movie, prints[movie.name], outcome)
            record.write_table(list(rows.values()))
    except KeyboardInterrupt as interrupt:
        done = sum(row.status.startswith("done") for row in rows.values())
        raise KeyboardInterrupt(
            f"interrupted; {done} of {len(rows)} movies are done, and the same command goes on with the others"
            + (_WITHOUT if options.overwrite else "")
        ) from interrupt
