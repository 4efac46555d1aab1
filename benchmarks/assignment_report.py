"""Timing, tables and the plot of the assignment benchmark."""

import csv
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy

RESULTS = Path(__file__).parent / "results"
Row = dict[str, object]


def interleaved(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Smallest time of each function in seconds, all of them run in turn."""
    best = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()  # warm up: compiled kernels are loaded
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def show(value: object) -> str:
    """A table cell."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(show(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def machine() -> str:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{model}, {os.cpu_count()} cores (one used; load average at the end {load:.1f}), "
        f"{platform.system()}, Python {platform.python_version()}, numpy {np.__version__}, scipy "
        f"{scipy.__version__}"
    )


def _number(value: object) -> float:
    return value if isinstance(value, float) else float("nan")


def plot(growth: list[Row], errors: list[Row], path: Path) -> None:
    """Time per cell against N, and errors of the methods per instance."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 0.22 * len(errors) + 3), layout="constrained")
    for column in growth[0]:
        if column not in ("N", "frames"):
            left.plot(
                [row["N"] for row in growth],
                [row[column] for row in growth],
                "o-",
                label=column.split(",")[0],
            )
    left.set(xscale="log", yscale="log", xlabel="mothers N", ylabel="µs per cell", title="growth, sigma 0.15")
    left.legend()
    names = [str(row["instance"]) for row in errors]
    for label in ("k_best 100", "k_best 1000", "component_k_best 1000", "bp", "auto"):
        values = [max(_number(row.get(f"{label}: error")), 1e-6) for row in errors]
        right.plot(values, range(len(names)), "o", label=label)
    right.set(xscale="log", xlabel="largest error of a link's probability", yticks=range(len(names)))
    right.set_yticklabels(names)
    right.legend()
    figure.savefig(path, dpi=120)


def write(parts: dict[str, list[Row]]) -> None:
    """Write what has been measured so far as Markdown and CSV."""
    RESULTS.mkdir(exist_ok=True)
    text = "# Assignment engine\n\nMade by `python benchmarks/assignment.py` on: " + machine() + ".\n"
    for title, rows in parts.items():
        text += f"\n## {title}\n\n{table(rows)}\n"
    (RESULTS / "assignment.md").write_text(text)
    with (RESULTS / "assignment.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "row", "column", "value"])
        for title, rows in parts.items():
            for i, row in enumerate(rows):
                writer.writerows([title, i, column, value] for column, value in row.items())
