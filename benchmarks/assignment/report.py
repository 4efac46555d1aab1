"""Timing, tables and the plot of the assignment benchmark."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks import timing
from benchmarks.machine import describe_machine
from common.results import write_results

RESULTS = Path(__file__).parents[1] / "results"
Row = dict[str, object]


def fastest(jobs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Smallest time of each job in seconds, all of them run in turn."""
    return {name: float(seconds.min()) for name, seconds in timing.interleaved(jobs, repeats).items()}


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table; what a row lacks stays empty."""
    shown = [
        {name: f"{v:.3g}" if isinstance(v, float) else str(v) for name, v in row.items()} for row in rows
    ]
    return pd.DataFrame(shown).fillna("").to_markdown(index=False, disable_numparse=True)


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


def write(parts: dict[str, list[Row]], folder: Path) -> None:
    """Write what has been measured so far as Markdown and CSV."""
    made = "Made by `python -m benchmarks.assignment`; one core is used."
    page = ["# Assignment engine", "", made, "", describe_machine()]
    for title, rows in parts.items():
        page += ["", f"## {title}", "", table(rows)]
    values = [
        {"part": title, "row": i, "column": column, "value": value}
        for title, rows in parts.items()
        for i, row in enumerate(rows)
        for column, value in row.items()
    ]
    write_results(
        folder, "assignment", "\n".join(page) + "\n", {"assignment": pd.DataFrame(values)}, show=False
    )
