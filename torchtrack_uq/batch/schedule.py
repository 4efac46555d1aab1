"""Which movie runs when and where: processes of this machine, or workers of a dask cluster."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from torchtrack_uq.batch.movies import BatchMovie
from torchtrack_uq.batch.run_one import Outcome, Running, run_movie
from torchtrack_uq.utils.cluster import connect
from torchtrack_uq.utils.cores import available_cores
from torchtrack_uq.utils.optional import import_optional
from torchtrack_uq.utils.processes import LOST_BEFORE_GIVING_UP


def run_here(
    movies: Iterable[BatchMovie], folder: Path, *, overwrite: bool, workers: int
) -> Iterator[tuple[BatchMovie, Outcome]]:
    """Run movies in `workers` processes of this machine; as they end.

    A loop that is left, by an error or Ctrl-C, ends the runs that are under way, and waits until they are gone.
    """
    threads, running = max(available_cores() // workers, 1), Running()
    run = partial(run_movie, folder=folder, overwrite=overwrite, threads=threads, running=running)
    waiting: Iterator[BatchMovie] = iter(movies)
    with ThreadPoolExecutor(workers) as pool:
        try:
            under_way: dict[Future[Outcome], BatchMovie] = {}
            for movie in islice(waiting, workers):
                under_way[pool.submit(run, movie)] = movie
            while under_way:
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for one in done:
                    ended = under_way.pop(one)
                    for movie in islice(waiting, 1):
                        under_way[pool.submit(run, movie)] = movie
                    yield ended, one.result()
        except BaseException:
            running.end()
            raise


def run_on_cluster(
    movies: Iterable[BatchMovie], folder: Path, *, overwrite: bool, address: str
) -> Iterator[tuple[BatchMovie, Outcome]]:
    """Run movies on the workers of a dask cluster that see the same files; as they end.

    What a lost worker was doing is done by another one.

    Args:
        movies: What to track.
        folder: Of all movies.
        overwrite: Whether results that are there are replaced.
        address: Of the scheduler, such as tcp://10.0.0.1:8786.

    Raises:
        InputError: distributed is not installed, nobody answers, or the cluster has no worker.
    """
    distributed: Any = import_optional("distributed", "dask", "running on a dask cluster")
    with connect(address) as client:
        future_of = {
            client.submit(
                run_movie, movie, folder, overwrite=overwrite, threads=1, pure=False, retries=LOST_BEFORE_GIVING_UP,
                key=f"torchtrack-uq-{movie.name}-{os.getpid()}",
            ): movie
            for movie in movies
        }  # fmt: skip
        for one in distributed.as_completed(list(future_of)):
            movie = future_of[one]
            yield movie, _outcome(one)


def _outcome(future: Any) -> Outcome:
    if future.status == "finished":
        found: Outcome = future.result()
        return found
    error = future.exception()
    return Outcome(1, 0.0, f"lost on the cluster: {type(error).__name__}: {error}".replace("\n", " "))
