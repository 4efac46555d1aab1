"""Times and errors of `torchtrack_uq.assignment`; writes benchmarks/results/assignment.{md,csv,png}.

    python -m benchmarks.assignment [--quick] [--data FOLDER] [-o FOLDER]

Every time is the smallest of several repeats, and repeats alternate with one scipy
`min_weight_full_bipartite_matching` on the same instance (mothers copied), so the ratios do not depend on
the load.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from benchmarks.assignment.derivatives import time_derivatives
from benchmarks.assignment.errors import measure_errors
from benchmarks.assignment.instances import scipy_costs, standard_instance
from benchmarks.assignment.limits import measure_limits
from benchmarks.assignment.others import time_others
from benchmarks.assignment.report import RESULTS, Row, fastest, plot, table, write
from common.data import data_folder
from torchtrack_uq.assignment import AssignmentProblem, k_best, marginals, solve_map, solve_map_many

BARS = "Bars (ratio to one scipy solve of the same instance, same run)"
GROWTH = "Growth at sigma 0.15"
GROWTH_CELLS = 400_000  # at every size; with fewer, one rare crowd decides
ERRORS = "Errors against exact marginals"


def time_bars(repeats: int) -> list[Row]:
    """Work, bar and ratio to scipy."""

    def perturbed(problem: AssignmentProblem) -> np.ndarray:
        return problem.score + np.random.default_rng(0).normal(0, 0.5, (100, problem.n_links))

    small, large, calm = (
        standard_instance(1000, 0.3),
        standard_instance(5000, 0.3),
        standard_instance(5000, 0.15),
    )
    scores = perturbed(small)
    work = [
        ("solve_map, N 5000, sigma 0.3", large, 0.1, lambda: solve_map(large)),
        ("solve_map, N 5000, sigma 0.15", calm, 0.1, lambda: solve_map(calm)),
        ("k_best, N 1000, K 1000, sigma 0.3", small, 0.9, lambda: k_best(small, 1000)),
        ("same, parents written out", small, 3.0, lambda: k_best(small, 1000).parent),
        ("k_best, N 5000, K 1000, sigma 0.3", large, 0.2, lambda: k_best(large, 1000)),
        ("same, parents written out", large, 0.7, lambda: k_best(large, 1000).parent),
        ("marginals exact 1e-3, N 5000, sigma 0.15", calm, 0.5, lambda: marginals(calm, method="exact")),
        ("100 perturbed MAPs, N 1000, sigma 0.3", small, 10.0, lambda: solve_map_many(small, scores)),
    ]
    rows: list[Row] = []
    for name, problem, bar, function in work:
        costs = scipy_costs(problem)
        times = fastest(
            {"ours": function, "scipy": lambda costs=costs: min_weight_full_bipartite_matching(costs)},
            repeats,
        )
        ratio = times["ours"] / times["scipy"]
        rows.append(
            {
                "work": name,
                "ms": 1e3 * times["ours"],
                "scipy ms": 1e3 * times["scipy"],
                "ratio": ratio,
                "bar": bar,
                "met": "yes" if ratio <= bar else "NO",
            }
        )  # fmt: skip
    certificate = marginals(calm, method="exact")
    rows.append(
        {
            "work": f"certificate of the exact row: error_bound {certificate.error_bound:.2g}",
            "met": str(certificate.exact),
        }
    )
    return rows


def time_growth(repeats: int) -> list[Row]:
    """Time per mother from N = 1,000 to 20,000 at sigma 0.15, and how much the last row takes more than the first.

    Every size is measured on as many cells, in as many frames as that takes, one after the other: a rare crowd
    that is slow to sum is then as likely at every size, and no small frame is timed with its data still in cache
    and its branches learnt from the repeat before.
    """
    sizes = (1000, 5000, 20_000)
    frames = {n: [standard_instance(n, 0.15, seed) for seed in range(GROWTH_CELLS // n)] for n in sizes}
    scores = {
        n: [p.score + np.random.default_rng(0).normal(0, 0.5, (10, p.n_links)) for p in frames[n]]
        for n in sizes
    }
    work: dict[str, Callable[[AssignmentProblem, np.ndarray], object]] = {
        "solve_map": lambda p, _: solve_map(p),
        "k_best K 1000": lambda p, _: k_best(p, 1000),
        "marginals exact": lambda p, _: marginals(p, method="exact"),
        "10 perturbed MAPs": lambda p, s: solve_map_many(p, s),
    }

    def all_frames(name: str, n: int) -> Callable[[], object]:
        return lambda: [work[name](p, s) for p, s in zip(frames[n], scores[n], strict=True)] and None

    times = fastest({f"{name} {n}": all_frames(name, n) for name in work for n in sizes}, repeats)
    cells = {n: n * len(frames[n]) for n in sizes}
    rows: list[Row] = [
        {"N": n, "frames": len(frames[n])}
        | {f"{name}, us per cell": 1e6 * times[f"{name} {n}"] / cells[n] for name in work}
        for n in sizes
    ]
    growth: Row = {"N": "20,000 against 1,000"}
    for name in work:
        column = f"{name}, us per cell"
        growth[column] = f"{float(str(rows[-1][column])) / float(str(rows[0][column])) - 1:+.0%}"
    return [*rows, growth]


def main() -> None:
    """Run all parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of CTC movies")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    repeats = 3 if arguments.quick else 9
    parts: dict[str, list[Row]] = {}
    for title, measure in (
        (BARS, lambda: time_bars(repeats)),
        ("Gradients", lambda: time_derivatives(repeats)),
        (GROWTH, lambda: time_growth(min(repeats, 4))),
        ("Other codes", lambda: time_others(repeats)),
        (ERRORS, lambda: measure_errors(arguments.data)),
        ("Limits", measure_limits),
    ):
        parts[title] = measure()
        print(f"\n## {title}\n\n{table(parts[title])}", flush=True)
        write(parts, arguments.output)
    plot(parts[GROWTH][:-1], parts[ERRORS], arguments.output / "assignment.png")


if __name__ == "__main__":
    main()
