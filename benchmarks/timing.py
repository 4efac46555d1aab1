"""Time several jobs in turn, so that other work on the machine hits all alike."""

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray


def interleaved(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, NDArray[np.float64]]:
    """Seconds that each job took in each round, all of them run in turn.

    Args:
        jobs: By name; each is run once before, which compiles kernels and fills caches.
        repeats: Number of rounds.

    Returns:
        By name, (repeats,) seconds.
    """
    for job in jobs.values():
        job()
    seconds = {name: np.zeros(repeats) for name in jobs}
    for k in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name][k] = time.perf_counter() - start
    return seconds
