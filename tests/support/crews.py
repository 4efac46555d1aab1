"""Crews whose members are this process, seen through what would go over the wire."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Pickled:
    """Says that it is `n` workers, and does everything here, the last task first; all is pickled on its way."""

    def __init__(self, n: int) -> None:
        self.n = n

    def map(self, work: Callable[[Any, Any], Any], common: Any, tasks: Sequence[Any]) -> Iterator[Any]:
        """See `torchtrack_uq.utils.crew.Crew`."""
        done = {}
        for k in reversed(range(len(tasks))):
            its_work, its_common = pickle.loads(pickle.dumps((work, common)))
            result = its_work(its_common, pickle.loads(pickle.dumps(tasks[k])))
            done[k] = pickle.loads(pickle.dumps(result))
        return (done[k] for k in range(len(tasks)))


def work_slowly(seconds: float, task: int) -> int:
    """Take some time."""
    import time

    time.sleep(seconds)
    return task


def die_at(fatal: tuple[int, str | None], task: int) -> int:
    """Kill the worker at one task, only the first time where a file notes that."""
    import os
    import signal
    from pathlib import Path

    number, note = fatal
    if task == number and (note is None or not Path(note).exists()):
        if note is not None:
            Path(note).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def refuse_from(first: int, task: int) -> int:
    """Refuse tasks from one on; the first of them last."""
    import time
    import warnings

    from torchtrack_uq.errors import InputError

    if task == first:
        time.sleep(0.5)
    if task >= first:
        raise InputError(f"task {task} is bad")
    warnings.warn(f"task {task} looks odd", UserWarning, stacklevel=2)
    return task


def modules_of(common: None, task: int) -> set[str]:
    """What a worker has imported."""
    import sys

    return set(sys.modules)


def threads_of(common: None, task: int) -> str | None:
    """How many threads a worker is told to use."""
    import os

    return os.environ.get("OMP_NUM_THREADS")
