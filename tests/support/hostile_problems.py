"""Small frame pairs with scores as far apart as they may be, and what enumeration says of every answer about them.

`python -m tests.support.hostile_problems 300000` checks that many, with progress, and ends with what was wrong.
"""

import sys
import warnings
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from tests.support.brute_force import all_assignments, posterior
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    InfeasibleProblemError,
    NonConvexDivisionError,
    k_best,
    marginals,
    solve_map,
)

KINDS = ("ordinary", "ties", "wide", "huge", "mixed")
MIXED = [0.0, 1.0, -1.0, 50.0, -50.0, 800.0, -800.0, 1e6, -1e6, 1e-300]
WAYS: tuple[tuple[str, dict[str, float]], ...] = (
    ("exact", {}),
    ("exact", {"tolerance": 0.0}),
    ("auto", {}),
    ("auto", {"memory_limit": 1 << 10}),
    ("k_best", {"k": 1}),
    ("k_best", {"k": 3}),
    ("component_k_best", {"k": 2}),
    ("bp", {}),
)


def hostile_problem(seed: int) -> tuple[AssignmentProblem, float]:
    """A problem of at most 4 daughters and 4 mothers, feasible or not, and a temperature."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(0, 5, 2)
    kind = KINDS[rng.integers(len(KINDS))]

    def scores(size: int) -> np.ndarray:
        drawn = {
            "ordinary": rng.normal(0, 2, size),
            "ties": rng.integers(-2, 3, size).astype(float),
            "wide": rng.normal(0, 300, size),
            "huge": rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-300, 8.9, size),
            "mixed": rng.choice(MIXED, size),
        }[kind]
        drawn[rng.uniform(size=size) < rng.choice([0, 0.1, 0.4])] = -np.inf
        return drawn

    mother, daughter = np.divmod(np.flatnonzero(rng.uniform(size=m * n) < 0.7), max(n, 1))
    order = rng.permutation(len(mother))
    disappear, divide = scores(m), scores(m)
    if rng.uniform() < 0.6:
        divide = np.minimum(divide, -np.where(np.isfinite(disappear), disappear, 0))
    problem = AssignmentProblem.build(
        mother[order], daughter[order], scores(len(mother)), m, n, scores(n), disappear, divide
    )
    return problem, float(rng.choice([1.0, 0.1, 5.0, 0.01]))


def wrong_answers(problem: AssignmentProblem, temperature: float) -> Iterator[str]:
    """One sentence for every answer that enumeration contradicts, beyond what rounding of the scores explains."""
    weights = np.sort(all_assignments(problem)[1])[::-1]
    yield from _wrong_searches(problem, weights)
    truth = posterior(problem, temperature) if len(weights) else None
    finite = [x[np.isfinite(x)] for x in (problem.score, problem.appear, problem.disappear, problem.divide)]
    largest = max(float(np.abs(x).max(initial=0)) for x in finite) / temperature
    for method, options in WAYS:
        for wrong in _wrong_marginals(problem, temperature, method, options, truth, largest):
            yield f"{method} {options}: {wrong}"


def _wrong_searches(problem: AssignmentProblem, weights: np.ndarray) -> Iterator[str]:
    try:
        best, listed = solve_map(problem).log_weight, k_best(problem, 7).log_weight
    except InfeasibleProblemError:
        if len(weights):
            yield "feasible, but the solvers say infeasible"
        return
    except NonConvexDivisionError:
        if problem.is_convex:
            yield "convex, but refused"
        return
    rounding = 1e-6 * max(1.0, float(np.abs(weights[:7]).max(initial=0)))
    if not len(weights) or abs(best - weights[0]) > rounding:
        yield f"MAP of weight {best}"
    if len(listed) != len(weights[:7]) or np.abs(listed - weights[:7]).max(initial=0) > rounding:
        yield f"K best of weights {listed}"


def _wrong_marginals(
    problem: AssignmentProblem,
    temperature: float,
    method: str,
    options: dict[str, float],
    truth: dict[str, np.ndarray | float] | None,
    largest: float,
) -> Iterator[str]:
    try:
        found = marginals(problem, temperature, method, **options)  # type: ignore[arg-type]
    except InfeasibleProblemError:
        if truth is not None:
            yield "feasible, but said to be infeasible"
        return
    except NonConvexDivisionError:
        if problem.is_convex or method in ("exact", "auto"):
            yield "refused as not convex"
        return
    except EliminationTooLargeError:
        if "memory_limit" not in options:
            yield "too large"
        return
    if truth is None:
        yield "infeasible, but answered"
        return
    names = ("link", "null", "disappear", "divide")
    if not all(np.isfinite(getattr(found, name)).all() for name in names):
        yield "NaN"
        return
    error = max(float(np.abs(getattr(found, name) - truth[name]).max(initial=0)) for name in names)
    rounding = 1e-7 + 1e-14 * largest
    if not -1e-9 <= found.covered_mass <= 1 + 1e-9:
        yield f"covers {found.covered_mass} of the posterior"
    if found.exact and error > options.get("tolerance", 1e-3) + rounding:
        yield f"exact, but off by {error}"
    if error > found.error_bound + rounding:
        yield f"off by {error}, bound {found.error_bound}"
    if abs(found.log_z - truth["log_z"]) > found.log_z_error + 1e-6 * max(1.0, largest):
        yield f"log Z {found.log_z} instead of {truth['log_z']}, bound {found.log_z_error}"


def main(n: int) -> int:
    """Check seeds 0 to n - 1; the number that had a wrong answer."""
    warnings.simplefilter("error")
    n_wrong = 0
    for seed in tqdm(range(n), mininterval=10):
        wrong = list(wrong_answers(*hostile_problem(seed)))
        n_wrong += bool(wrong)
        for sentence in wrong:
            tqdm.write(f"seed {seed}: {sentence}")
    print(f"{n_wrong} of {n} problems had a wrong answer")
    return n_wrong


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])) > 0)
