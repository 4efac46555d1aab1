"""Run the units on several processes: what is done is skipped, what fails is recorded, the rest goes on."""

import json
import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torchtrack_uq.utils.files import write_atomically

Task = tuple[Path, Callable[..., dict[str, Any]], tuple[Any, ...], float]
"""File to write, function, arguments, and rough work to estimate the time left by."""


def run_tasks(tasks: list[Task], workers: int, minutes: float, what: str) -> None:
    """Work on tasks, the first ones first; each writes its result to its file.

    Args:
        tasks: Those that are left.
        workers: Number of processes.
        minutes: Most minutes that a task may take; it is then recorded as failed.
        what: What to call them in the progress.
    """
    total, done, start = sum(task[3] for task in tasks) or 1.0, 0.0, time.monotonic()
    for count, (file, work, seconds, error) in enumerate(_results(tasks, workers, minutes), start=1):
        done += work
        passed = time.monotonic() - start
        left = passed / max(done, 1e-9) * (total - done)
        print(
            f"{what} {count}/{len(tasks)} {file.stem}: {seconds:.0f} s{f', failed: {error}' if error else ''}; "
            f"{passed / 60:.1f} min so far, about {left / 60:.0f} min left",
            flush=True,
        )


def load(file: Path) -> dict[str, Any] | None:
    """A task's result, or None where there is none or where it failed."""
    if not file.is_file():
        return None
    content: dict[str, Any] = json.loads(file.read_text())
    return None if content.get("error") else content


def _results(tasks: list[Task], workers: int, minutes: float) -> Iterator[tuple[Path, float, float, str]]:
    jobs: Iterable[tuple[Task, float]] = [(task, minutes) for task in tasks]
    if workers <= 1 or len(tasks) <= 1:
        yield from map(_work, jobs)
        return
    # spawned processes read these when they load their libraries
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", NUMBA_NUM_THREADS="1")
    with mp.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_work, jobs)
        pool.close()
        pool.join()


def _work(job: tuple[Task, float]) -> tuple[Path, float, float, str]:
    (file, function, arguments, work), minutes = job
    start = time.perf_counter()
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60)
    try:
        result = function(*arguments)
    except Exception as error:
        result = {"rows": [], "error": " ".join(f"{type(error).__name__}: {error}".split())}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.perf_counter() - start
    result["seconds"] = round(seconds, 2)
    write_atomically(file, (json.dumps(result, indent=1) + "\n").encode())
    return file, work, seconds, str(result["error"])


def _too_long(*_: object) -> None:
    raise TimeoutError("took longer than --minutes-per-task")
