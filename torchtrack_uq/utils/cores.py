"""How many cores there are to use, and work that all of them share; whoever interrupts it is not kept waiting."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")
_left: set[str] = set()
"""Names of pools that were at work when nobody wanted the result any more."""


def available_cores() -> int:
    """Number of cores that this process may use, at most `NUMBA_NUM_THREADS` where that is set, as `batch` does."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores


def in_threads(
    function: Callable[[Item], Found], items: Iterable[Item], n_threads: int | None = None
) -> Iterator[Found]:
    """What a function that mostly runs without the GIL makes of each item, in their order.

    An interruption of the main thread is answered at once: a kernel cannot be told to stop, so what is under way goes
    on in its thread, and nobody waits for it (`left_at_work`).

    Args:
        function: Of one item; it writes no files.
        items: All of them, taken before the first result is there.
        n_threads: At least 1, which is this thread; by default the cores that this process may use.

    Raises:
        Exception: The first that the function raised.

    >>> list(in_threads(abs, [-1, 2]))
    [1, 2]
    """
    if n_threads == 1 or (available_cores() == 1 and not _is_main_thread()):
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(available_cores() if n_threads is None else n_threads)
    try:
        yield from pool.map(function, items)
    except KeyboardInterrupt:
        leave(pool)
        raise
    finally:
        pool.shutdown(wait=not _is_left(pool))


def beside(function: Callable[..., Found], *arguments: Any) -> Found:
    """What a function returns; in the main thread it runs in another one, so that an interruption is answered at once.

    >>> beside(divmod, 7, 2)
    (3, 1)
    """
    if not _is_main_thread():
        return function(*arguments)
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *arguments).result()
    except KeyboardInterrupt:
        leave(pool)
        raise
    finally:
        pool.shutdown(wait=not _is_left(pool))


def leave(pool: ThreadPoolExecutor) -> None:
    """Start nothing more in a pool whose work writes no files, and do not wait for what runs."""
    pool.shutdown(wait=False, cancel_futures=True)
    _left.add(
        str(pool._thread_name_prefix)
    )  # a thread that is only just started is not among its threads yet


def left_at_work(patience: float = 0.5) -> bool:
    """Whether threads that were left are still at work after so many seconds: Python would wait for them at its end.

    >>> left_at_work()
    False
    """
    end = time.monotonic() + patience
    at_work = [thread for thread in threading.enumerate() if thread.name.rpartition("_")[0] in _left]
    for thread in at_work:
        thread.join(max(end - time.monotonic(), 0.0))
    return any(thread.is_alive() for thread in at_work)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_left(pool: ThreadPoolExecutor) -> bool:
    return str(pool._thread_name_prefix) in _left
