"""Errors and times of all methods against exact marginals."""

import time
from pathlib import Path

import numpy as np

from benchmarks.assignment.instances import real_frame_pairs, standard_instance
from benchmarks.assignment.movies import scored_frame_pairs
from benchmarks.assignment.report import Row
from torchtrack_uq.assignment import EliminationTooLargeError, NonConvexDivisionError, marginals


def measure_errors(data: Path) -> list[Row]:
    """Largest error and time of every method against exact marginals."""
    instances = [
        ("sigma 0.15, N 1000", standard_instance(1000, 0.15)),
        ("sigma 0.3, N 60", standard_instance(60, 0.3)),
        ("sigma 0.5, N 24", standard_instance(24, 0.5)),
        *real_frame_pairs(data),
        *scored_frame_pairs(data),
    ]
    methods = [("k_best", 100), ("k_best", 1000), ("component_k_best", 1000), ("bp", None), ("auto", None)]
    rows: list[Row] = []
    for name, problem in instances:
        try:
            start = time.perf_counter()
            exact = marginals(problem, method="exact", memory_limit=2 << 30)
            seconds = time.perf_counter() - start
        except EliminationTooLargeError:
            exact = None
        row: Row = {"instance": name, "daughters": problem.n_daughters}
        if exact is not None:
            row |= {"exact: proved bound": exact.error_bound, "exact: ms": 1e3 * seconds}
        else:
            row |= {"exact: proved bound": "does not fit into 2 GB"}
        for method, k in methods:
            label = method if k is None else f"{method} {k}"
            start = time.perf_counter()
            try:
                result = marginals(problem, method=method, k=k)
            except (NonConvexDivisionError, EliminationTooLargeError) as error:
                row[f"{label}: error"] = type(error).__name__
                continue
            row[f"{label}: ms"] = 1e3 * (time.perf_counter() - start)
            if exact is not None:
                row[f"{label}: error"] = float(np.abs(result.link - exact.link).max())
            if method == "auto":
                row["auto: method"] = result.method
                report = result.components
                row["auto: share of cells exact"] = float(
                    report.n_daughters[report.exact].sum() / max(report.n_daughters.sum(), 1)
                )
        rows.append(row)
    return rows
