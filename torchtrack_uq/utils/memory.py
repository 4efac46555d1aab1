"""How much memory there is to be had."""

import os
from pathlib import Path


def available_memory() -> int | None:
    """Bytes that can be allocated without swapping; None where the system does not tell.

    The least of what the machine has free and of what is left in this process's control group (a container, a job of a
    cluster).

    >>> available_memory() != 0
    True
    """
    known = [found for found in (_of_machine(), _of_group()) if found is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_group() -> int | None:
    """Of control groups of version 2, of which a container sees its own."""
    group = Path("/sys/fs/cgroup")
    try:
        return max(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()), 0)
    except (OSError, ValueError):  # none, or "max"
        return None
