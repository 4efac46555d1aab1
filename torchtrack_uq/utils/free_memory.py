"""Memory that was freed goes back to the system, where the C library keeps it for itself.

glibc keeps what threads have freed for the next time that they ask, a gigabyte and more after a large movie was summed
(https://man7.org/linux/man-pages/man3/malloc_trim.3.html). Elsewhere nothing is done.
"""

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library, such as musl
        return None


def give_back_freed_memory() -> None:
    """Worth its milliseconds after work that took much more memory than what it found.

    >>> give_back_freed_memory()
    """
    trim = _trim()
    if trim is not None:
        trim(0)
