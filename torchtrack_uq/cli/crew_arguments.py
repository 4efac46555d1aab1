"""Arguments that say who does the work on a movie."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.values import workers
from torchtrack_uq.errors import InputError

if TYPE_CHECKING:
    from torchtrack_uq.utils.crew import Crew


def add_crew_arguments(parser: argparse.ArgumentParser) -> None:
    """`--workers` and `--dask`."""
    parser.add_argument(
        "--workers",
        type=workers,
        metavar="N",
        help="measure cells, score links and relabel masks in N processes of this machine, with the same results "
        "whatever N is (default: in this one, the Transformer on as many threads as there are cores)",
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="do so on this dask cluster, whose workers see the same files"
    )


def check_crew(options: argparse.Namespace) -> None:
    """Refuse two crews at once.

    Raises:
        InputError: Both are asked for.
    """
    if options.workers is not None and options.dask is not None:
        raise InputError("--workers is for this machine and --dask for a cluster; give one of them")


@contextmanager
def crew_of(options: argparse.Namespace) -> "Iterator[Crew | None]":
    """Who was asked for; None for this process, as it comes.

    Raises:
        InputError: No cluster answers.
    """
    if options.workers is None and options.dask is None:
        yield None
        return
    from torchtrack_uq.utils.cluster import Cluster
    from torchtrack_uq.utils.crew import Alone
    from torchtrack_uq.utils.processes import Processes

    crew: Any
    if options.workers == 1:
        yield Alone()
        return
    crew = Cluster(options.dask) if options.workers is None else Processes(options.workers)
    with crew:
        yield crew
