"""`torchtrack-uq batch`."""

import argparse
import errno
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torchtrack_uq.cli.batch_rows import track_options, wrong_with
from torchtrack_uq.cli.crew_arguments import check_crew
from torchtrack_uq.cli.values import workers
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.ending_signals import Stopped
from torchtrack_uq.utils.no_space import advice_without_space, tells_of_no_space
from torchtrack_uq.utils.progress import with_progress

if TYPE_CHECKING:
    from torchtrack_uq.batch.movies import BatchMovie
    from torchtrack_uq.batch.record import BatchRecord, MovieRow
    from torchtrack_uq.batch.same_work import Fingerprint

_OF_ONE = {"images", "masks", "points"}
_SHOWN = 5
"""Folders named that are in the way; how many more there are is said."""
_GO_ON = "the same command goes on with the others"
_WITHOUT = " (without --overwrite, which does all anew)"


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
        type=workers,
        metavar="N",
        help="movies at a time on this machine (default: as many as cores)",
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run on this dask cluster, whose workers see the same files"
    )
    parser.add_argument("--overwrite", action="store_true", help="do all movies anew, replacing results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("for all movies", "as `torchtrack-uq track` takes them")
    for name, action in track_options().items():
        if name in _OF_ONE:
            continue
        said = (action.help or "").replace("%(default)s", str(action.default))  # here nothing is a default
        if action.nargs == 0:
            group.add_argument(f"--{name}", action="store_true", help=said)
        else:
            group.add_argument(f"--{name}", choices=action.choices, metavar=action.metavar, help=said)
    parser.set_defaults(run=_batch)


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

    check_crew(options)
    known = track_options()
    flags = {name: action.nargs == 0 for name, action in known.items()}
    movies = read_movies(options.movies, flags, wrong_with, _common(options, known))
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
        from torchtrack_uq.utils.cores import available_cores

        n = min(options.workers or available_cores(), max(len(rest), 1))
        outcomes = run_here(noted(), record.folder, overwrite=options.overwrite, workers=n)
    try:
        for movie, outcome in with_progress(outcomes, "Movies", show=not options.quiet, total=len(rest)):
            rows[movie.name] = record.end(movie, prints[movie.name], outcome)
            record.write_table(list(rows.values()))
            if outcome.code > 0 and tells_of_no_space(outcome.message):
                raise OSError(
                    errno.ENOSPC, os.strerror(errno.ENOSPC)
                )  # the next ones would fail like this one
    except OSError as error:
        if (advice := advice_without_space(error, record.folder)) is None:
            raise
        raise OSError(
            f"{os.strerror(error.errno or errno.ENOSPC)}: {_so_far(rows)}; {advice}, then {_GO_ON}"
        ) from None
    except KeyboardInterrupt as interrupt:
        without = _WITHOUT if options.overwrite else ""
        said = f"{str(interrupt) or 'interrupted'}; {_so_far(rows)}, and {_GO_ON}{without}"
        if isinstance(interrupt, Stopped):
            raise Stopped(said, interrupt.number) from interrupt
        raise KeyboardInterrupt(said) from interrupt
    finally:
        cast(Generator[Any, None, None], outcomes).close()  # ends the runs that are under way


def _so_far(rows: "dict[str, MovieRow]") -> str:
    done = sum(row.status.startswith("done") for row in rows.values())
    return f"{done} of {len(rows)} movies are done"
