"""What a gradient of exact marginals costs, in forward sums of the same frame pair."""

import numpy as np

from benchmarks.assignment.instances import standard_instance
from benchmarks.assignment.report import Row, fastest
from torchtrack_uq.assignment import AssignmentProblem, Direction, marginals, marginals_derivative

BAR = 1.5
SIZES = ((200, 0.15), (1000, 0.15), (5000, 0.15))


def time_derivatives(repeats: int) -> list[Row]:
    """Along a direction of ordinary size, and along the gradient of a likelihood with a rare truth in it."""
    rows: list[Row] = []
    for n, sigma in SIZES:
        problem = standard_instance(n, sigma)
        found = marginals(problem, method="exact")
        events = [np.zeros(k) for k in (problem.n_daughters, problem.n_mothers, problem.n_mothers)]
        smooth = Direction(np.random.default_rng(0).normal(size=problem.n_links), *events)
        rare, probability = _with_a_rare_truth(problem, found.link)
        unlikely = Direction(rare, *events)
        times = fastest(
            {
                "forward": lambda p=problem: marginals(p, method="exact"),
                "smooth": lambda p=problem, f=found, d=smooth: marginals_derivative(p, f, d),
                "rare": lambda p=problem, f=found, d=unlikely: marginals_derivative(p, f, d),
            },
            repeats,
        )
        ratio = times["smooth"] / times["forward"]
        rows.append(
            {
                "frame pair": f"N {n}, sigma {sigma}",
                "forward, ms": 1e3 * times["forward"],
                "derivative, ms": 1e3 * times["smooth"],
                "ratio": ratio,
                "bar": BAR,
                "met": "yes" if ratio <= BAR else "NO",
                "with one rare truth, ms": 1e3 * times["rare"],
                "its p": f"{probability:.0e}",
            }
        )
    return rows


def _with_a_rare_truth(problem: AssignmentProblem, link: np.ndarray) -> tuple[np.ndarray, float]:
    """The gradient of -log p of every daughter's likeliest mother, but for one whose mother is as unlikely as 1e-9."""
    best = np.zeros(problem.n_daughters)
    np.maximum.at(best, problem.daughter, link)
    truth = (link == best[problem.daughter]) & (link > 0)
    rare = int(np.argmin(np.abs(np.log(np.maximum(link, 1e-300)) - np.log(1e-9))))
    truth[problem.daughter == problem.daughter[rare]] = False
    truth[rare] = True
    direction = np.zeros(problem.n_links)
    direction[truth] = -1 / link[truth]
    return direction, float(link[rare])
