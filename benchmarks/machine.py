"""What machine a benchmark ran on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> str:
    """One line: processor, cores, load, memory, versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "numpy", "scipy", "numba", "trackastra")
    )
    load = f" (load average {os.getloadavg()[0]:.1f})" if hasattr(os, "getloadavg") else ""
    python = f"Python {platform.python_version()}"
    return f"Machine: {cpu}, {os.cpu_count()} cores{load}, {pages:.0f} GiB; {python}, {packages}."
