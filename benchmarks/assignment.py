"""Times and errors of `torchtrack_uq.assignment`; writes benchmarks/results/assignment.{md,csv,png}.

    python benchmarks/assignment.py [--quick] [--data FOLDER]

Every time is the smallest of several repeats, and repeats alternate with one scipy
`min_weight_full_bipartite_matching` on the same instance (mothers copied), so the ratios do not depend on
the load.
"""

import argparse
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

sys.path.insert(0, str(Path(__file__).parent))

from assignment_instances import real_frame_pairs, scipy_costs, standard_instance

from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    k_best,
    marginals,
    solve_map,
    solve_map_many,
)

RESULTS = Path(__file__).parent / "results"
BARS = "Bars (ratio to one scipy solve of the same instance, same run)"
GROWTH = "Growth at sigma 0.15"
ERRORS = "Errors against exact marginals"
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


def time_others(repeats: int) -> list[Row]:
    """Other public codes on what they can do: dense LAP, Murty on copied rows, JPDA with capacity one."""
    rows: list[Row] = []
    problem = standard_instance(300, 0.3)
    dense = np.full((problem.n_daughters, 2 * problem.n_mothers + problem.n_daughters), 1e4)
    sparse = scipy_costs(problem).tocoo()
    dense[sparse.row, sparse.col] = sparse.data
    functions: dict[str, Callable[[], object]] = {
        "solve_map": lambda: solve_map(problem),
        "scipy linear_sum_assignment (dense)": lambda: linear_sum_assignment(dense),
        "scipy min_weight_full_bipartite_matching": lambda: min_weight_full_bipartite_matching(
            sparse.tocsr()
        ),
    }
    try:
        import lap

        functions[f"lap / lapx {lap.__version__} lapjv (dense)"] = lambda: lap.lapjv(dense, extend_cost=True)
    except ImportError:
        rows.append({"code": "lap, lapx", "work": "not installed"})
    rows += [
        {"code": name, "work": "MAP, N 300, sigma 0.3", "ms": 1e3 * t}
        for name, t in interleaved(functions, repeats).items()
    ]
    start = time.perf_counter()
    listed = textbook_murty(dense, 5)
    seconds = time.perf_counter() - start
    copies = [
        np.where(columns < 2 * problem.n_mothers, columns % problem.n_mothers, -1) for columns in listed
    ]
    distinct = len(np.unique(np.array(copies), axis=0))
    ours = interleaved({"k_best": lambda: k_best(problem, 5)}, repeats)["k_best"]
    rows.append({"code": "k_best", "work": "K 5, N 300, sigma 0.3, all distinct", "ms": 1e3 * ours})
    rows.append(
        {
            "code": "textbook Murty on copied rows",
            "work": f"K 5, N 300, sigma 0.3, {distinct} distinct",
            "ms": 1e3 * seconds,
        }
    )
    return rows + _time_jpda(repeats)


def textbook_murty(cost: np.ndarray, k: int) -> list[np.ndarray]:
    """Murty (1968) as in textbooks: every child is solved from scratch on the dense matrix."""
    import heapq

    rows, columns = linear_sum_assignment(cost)
    heap = [(float(cost[rows, columns].sum()), 0, columns, cost)]
    found, count = [], 0
    while heap and len(found) < k:
        _, _, columns, matrix = heapq.heappop(heap)
        found.append(columns)
        child = matrix.copy()
        for row, column in enumerate(columns):
            without = child.copy()
            without[row, column] = 1e6
            r, c = linear_sum_assignment(without)
            total = float(without[r, c].sum())
            if total < 1e6:
                count += 1
                heapq.heappush(heap, (total, count, c, without))
            child[row, :] = 1e6
            child[row, column] = matrix[row, column]
    return found


def _time_jpda(repeats: int) -> list[Row]:
    """Exact (EHM2) and loopy-BP JPDA, which know no division: mothers of capacity one."""
    problem = standard_instance(40, 0.15)
    near = np.arange(problem.n_links) % 10 < 3  # the 3 nearest mothers only: EHM2 does not prune
    single = AssignmentProblem(
        problem.mother[near], problem.daughter[near], problem.score[near], problem.appear, problem.disappear,
        np.full(problem.n_mothers, -np.inf),
    )  # fmt: skip
    # rows are mothers; likelihood of a link relative to disappearing and appearing
    likelihood = np.zeros((single.n_mothers, single.n_daughters + 1))
    likelihood[:, 0] = 1.0
    likelihood[single.mother, single.daughter + 1] = np.exp(
        single.score - single.disappear[single.mother] - single.appear[single.daughter]
    )
    truth = marginals(single, method="exact", tolerance=0.0).link
    rows: list[Row] = [
        {
            "code": "marginals exact, tolerance 0",
            "work": "JPDA (no divisions), N 40, sigma 0.15, 3 candidates",
            "ms": 1e3
            * interleaved({"x": lambda: marginals(single, method="exact", tolerance=0.0)}, repeats)["x"],
        }
    ]

    def add(name: str, function: Callable[[], np.ndarray]) -> None:
        result = function()
        error = np.abs(result[single.mother, single.daughter + 1] - truth).max()
        t = interleaved({"x": function}, 1)["x"]
        rows.append(
            {
                "code": name,
                "work": "JPDA (no divisions), N 40, sigma 0.15, 3 candidates",
                "ms": 1e3 * t,
                "largest difference to ours": error,
            }
        )

    try:
        from pyehm.core import EHM2

        valid = likelihood > 0
        add("pyehm EHM2 (Stone Soup's EHM)", lambda: EHM2().run(valid.astype(np.int32), likelihood))
    except ImportError:
        rows.append({"code": "pyehm", "work": "not installed"})
    try:
        from stonesoup.dataassociator.probability import JPDAwithLBP

        add(
            "Stone Soup JPDAwithLBP",
            lambda: JPDAwithLBP._loopy_belief_propagation(likelihood, 10, 1e-3),
        )
    except ImportError:
        rows.append({"code": "stonesoup", "work": "not installed"})
    return rows


def measure_errors(data: Path) -> list[Row]:
    """Largest error and time of every method against exact marginals."""
    instances = [
        ("sigma 0.15, N 1000", standard_instance(1000, 0.15)),
        ("sigma 0.3, N 60", standard_instance(60, 0.3)),
        ("sigma 0.5, N 24", standard_instance(24, 0.5)),
        *real_frame_pairs(data),
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
            marginals(problem, method=method, k=k)
            start = time.perf_counter()
            result = marginals(problem, method=method, k=k)
            row[f"{label}: ms"] = 1e3 * (time.perf_counter() - start)
            if exact is not None:
                row[f"{label}: error"] = float(np.abs(result.link - exact.link).max())
            if method == "auto":
                row["auto: method"] = result.method
        rows.append(row)
    return rows


def measure_limits() -> list[Row]:
    """Peak memory of 100,000 daughters in one frame, and the cost of the first call on a fresh machine."""
    code = (
        "import sys, time; sys.path.insert(0, {here!r});"
        "from assignment_instances import standard_instance;"
        "from torchtrack_uq.assignment import solve_map, k_best, marginals;"
        "p = standard_instance({n}, 0.15);"
        "t = time.perf_counter(); solve_map(p); a = time.perf_counter(); k_best(p, 100); b = "
        "time.perf_counter();"
        "r = marginals(p, method={method!r}); c = time.perf_counter();"
        "status = open('/proc/self/status').read().split();"
        "peak = int(status[status.index('VmHWM:') + 1]) / 1e6;"
        "print(a - t, b - a, c - b, r.error_bound, r.exact, "
        "peak)"
    )
    rows: list[Row] = []
    here = str(Path(__file__).parent)
    for name, n, method, fresh in (
        ("100,000 mothers, 105,000 daughters", 100_000, "exact", False),
        ("first call, nothing compiled", 50, "exact", True),
        ("first call, compiled before", 50, "exact", False),
    ):
        with tempfile.TemporaryDirectory() as cache:
            environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]))
            if fresh:
                environment["NUMBA_CACHE_DIR"] = cache
            done = subprocess.run(
                [sys.executable, "-c", code.format(here=here, n=n, method=method)],
                capture_output=True, text=True, env=environment, check=False,
            )  # fmt: skip
        if done.returncode:
            rows.append({"what": name, "solve_map s": done.stderr.strip().splitlines()[-1][:200]})
            continue
        a, b, c, bound, exact, memory = done.stdout.split()
        rows.append(
            {
                "what": name, "solve_map s": float(a), "k_best 100 s": float(b), "exact s": float(c),
                "error_bound": float(bound), "exact": exact, "peak GB": float(memory),
            }
        )  # fmt: skip
    return rows


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
        f"{model}, {os.cpu_count()} cores (one used; load average {load:.1f}, so other work was running), "
        f"{platform.system()}, Python {platform.python_version()}, numpy {np.__version__}, scipy "
        f"{scipy.__version__}"
    )


def plot(growth: list[Row], errors: list[Row], path: Path) -> None:
    """Time per cell against N, and errors of the methods per instance."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for column in growth[0]:
        if column != "N":
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
        values = [max(float(row.get(f"{label}: error", np.nan)), 1e-6) for row in errors]
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
