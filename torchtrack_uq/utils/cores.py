"""How many cores there are to use, and work that all of them share; whoever interrupts it is not kept waiting."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
    with leaving_pool(available_cores() if n_threads is None else n_threads) as pool:
        yield from pool.map(function, items)


def beside(function: Callable[..., Found], *arguments: Any) -> Found:
    """What a function returns; in the main thread it runs in another one, so that an interruption is answered at once.

    >>> beside(divmod, 7, 2)
    (3, 1)
    """
    if not _is_main_thread():
        return function(*arguments)
    with leaving_pool(1) as pool:
        return pool.submit(function, *arguments).result()


@contextmanager
def leaving_pool(n_threads: int, name: str = "") -> Iterator[ThreadPoolExecutor]:
    """Threads for work that writes no files: an error waits for what they are in the middle of, an interruption not.

    Args:
        n_threads: At least 1.
        name: Of the threads, before their numbers.
    """
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix=name)
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        # by name, since a thread that is only just started is not among the pool's yet
        _left.add(str(pool._thread_name_prefix))
        raise
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


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
