"""Enumeration of every feasible assignment: the reference that all solvers are compared with."""

import itertools

import numpy as np

from torchtrack_uq.assignment import AssignmentProblem


def all_assignments(problem: AssignmentProblem) -> tuple[np.ndarray, np.ndarray]:
    """Parent functions (S, N) and log-weights (S,) of all assignments with log-weight > -inf."""
    n, m = problem.n_daughters, problem.n_mothers
    score = {
        (int(i), int(j)): float(s)
        for i, j, s in zip(problem.mother, problem.daughter, problem.score, strict=True)
    }
    options = [[-1] + [i for i in range(m) if score.get((i, j), -np.inf) > -np.inf] for j in range(n)]
    parents, weights = [], []
    for parent in itertools.product(*options):
        load = [parent.count(i) for i in range(m)]
        if max(load, default=0) > 2:
            continue
        weight = sum(score[i, j] if i >= 0 else problem.appear[j] for j, i in enumerate(parent))
        weight += sum(problem.disappear[i] for i in range(m) if load[i] == 0)
        weight += sum(problem.divide[i] for i in range(m) if load[i] == 2)
        if weight > -np.inf:
            parents.append(parent)
            weights.append(weight)
    return np.array(parents, dtype=np.int64).reshape(len(parents), n), np.array(weights, dtype=float)


def posterior(problem: AssignmentProblem, temperature: float = 1.0) -> dict[str, np.ndarray | float]:
    """Exact marginals and log Z by enumeration."""
    parents, weights = all_assignments(problem)
    scaled = weights / temperature
    log_z = scaled.max() + np.log(np.exp(scaled - scaled.max()).sum())
    probability = np.exp(scaled - log_z)
    m = problem.n_mothers
    load = (parents[:, :, None] == np.arange(m)).sum(axis=1)
    return {
        "link": (probability[:, None] * (parents[:, problem.daughter] == problem.mother)).sum(axis=0),
        "null": (probability[:, None] * (parents == -1)).sum(axis=0),
        "disappear": (probability[:, None] * (load == 0)).sum(axis=0),
        "divide": (probability[:, None] * (load == 2)).sum(axis=0),
        "log_z": float(log_z),
    }
