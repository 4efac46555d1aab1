"""Times and errors of `torchtrack_uq.assignment`; writes benchmarks/results/assignment.{md,csv,png}.

    python benchmarks/assignment.py [--quick] [--data FOLDER]

Every time is the smallest of several repeats, and repeats alternate with one scipy
`min_weight_full_bipartite_matching` on the same instance (mothers copied), so the ratios do not depend on
the load.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

sys.path.insert(0, str(Path(__file__).parent))

from assignment_errors import measure_errors
from assignment_instances import scipy_costs, standard_instance
from assignment_limits import measure_limits
from assignment_others import time_others
from assignment_report import RESULTS, Row, interleaved, plot, table, write

from torchtrack_uq.assignment import AssignmentProblem, k_best, marginals, solve_map, solve_map_many

BARS = "Bars (ratio to one scipy solve of the same instance, same run)"
GROWTH = "Growth at sigma 0.15"
ERRORS = "Errors against exact marginals"


def time_bars(repeats: int) -> list[Row]:
    """The table of the issue: work, bar and ratio to scipy."""

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
        ("k_best, N 1000, K 1000, sigma 0.3", small, 3.0, lambda: k_best(small, 1000)),
        ("same, parents written out", small, 3.0, lambda: k_best(small, 1000).parent),
        ("k_best, N 5000, K 1000, sigma 0.3", large, 0.7, lambda: k_best(large, 1000)),
        ("same, parents written out", large, 0.7, lambda: k_best(large, 1000).parent),
        ("marginals exact 1e-3, N 5000, sigma 0.15", calm, 0.5, lambda: marginals(calm, method="exact")),
        ("100 perturbed MAPs, N 1000, sigma 0.3", small, 10.0, lambda: solve_map_many(small, scores)),
    ]
    rows: list[Row] = []
    for name, problem, bar, function in work:
        costs = scipy_costs(problem)
        times = interleaved(
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
    """Time per daughter from N = 1,000 to 20,000 at sigma 0.15."""
    rows: list[Row] = []
    for n in (1000, 5000, 20_000):
        problem = standard_instance(n, 0.15)
        scores = problem.score + np.random.default_rng(0).normal(0, 0.5, (10, problem.n_links))
        times = interleaved(
            {
                "solve_map": lambda p=problem: solve_map(p),
                "k_best K 1000": lambda p=problem: k_best(p, 1000),
                "marginals exact": lambda p=problem: marginals(p, method="exact"),
                "10 perturbed MAPs": lambda p=problem, s=scores: solve_map_many(p, s),
            },
            repeats,
        )
        rows.append({"N": n} | {f"{name}, us per cell": 1e6 * t / n for name, t in times.items()})
    return rows


def main() -> None:
    """Run all parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--data", type=Path, default=Path("/work/shared/data"), help="folder of CTC movies")
    arguments = parser.parse_args()
    repeats = 3 if arguments.quick else 9
    parts: dict[str, list[Row]] = {}
    for title, measure in (
        (BARS, lambda: time_bars(repeats)),
        (GROWTH, lambda: time_growth(repeats)),
        ("Other codes", lambda: time_others(repeats)),
        (ERRORS, lambda: measure_errors(arguments.data)),
        ("Limits", measure_limits),
    ):
        parts[title] = measure()
        print(f"\n## {title}\n\n{table(parts[title])}", flush=True)
        write(parts)
    plot(parts[GROWTH], parts[ERRORS], RESULTS / "assignment.png")


if __name__ == "__main__":
    main()
