"""How many cores there are to use, and work that all of them share."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def available_cores() -> int:
    """Number of cores that this process may use, at most `NUMBA_NUM_THREADS` where that is set, as `batch` does."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores


def in_threads(
    function: Callable[[Item], Found], items: Iterable[Item], n_threads: int | None = None
) -> Iterator[Found]:
    """What a function that mostly runs without the GIL makes of each item, in their order.

    Args:
        function: Of one item.
        items: All of them, taken before the first result is there.
        n_threads: At least 1, which is this thread; by default the cores that this process may use.

    Raises:
        Exception: The first that the function raised.

    >>> list(in_threads(abs, [-1, 2]))
    [1, 2]
    """
    n_threads = available_cores() if n_threads is None else n_threads
    if n_threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield from pool.map(function, items)
