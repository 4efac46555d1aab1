"""The assignment engine beside other public codes, on what they can do."""

import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from benchmarks.assignment.instances import scipy_costs, standard_instance
from benchmarks.assignment.report import Row, fastest
from torchtrack_uq.assignment import AssignmentProblem, k_best, marginals, solve_map


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
        for name, t in fastest(functions, repeats).items()
    ]
    start = time.perf_counter()
    listed = textbook_murty(dense, 5)
    seconds = time.perf_counter() - start
    copies = [
        np.where(columns < 2 * problem.n_mothers, columns % problem.n_mothers, -1) for columns in listed
    ]
    distinct = len(np.unique(np.array(copies), axis=0))
    ours = fastest({"k_best": lambda: k_best(problem, 5)}, repeats)["k_best"]
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
            * fastest({"x": lambda: marginals(single, method="exact", tolerance=0.0)}, repeats)["x"],
        }
    ]

    def add(name: str, function: Callable[[], np.ndarray]) -> None:
        result = function()
        error = np.abs(result[single.mother, single.daughter + 1] - truth).max()
        t = fastest({"x": function}, 1)["x"]
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
