"""One assignment, and what its log-weight is."""

from dataclasses import dataclass, field

import numpy as np

from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Assignment:
    """A feasible assignment of one frame pair, written as a parent function.

    Attributes:
        parent: (N,) int64, mother of each daughter, or -1 where it has none.
        log_weight: L(A) of the assignment, in nats at temperature 1.
        mother_price: (M,) float64, optimal price of a place at each mother (the dual variables of the
            assignment problem): what one more daughter there would cost, in nats. They make the next solve
            a warm start.

    Example:
        >>> from torchtrack_uq.assignment import AssignmentProblem, solve_map
        >>> solve_map(AssignmentProblem.build([0, 1], [0, 0], [-1.0, -2.0], 2, 1, appear=-9.0)).parent
        array([0])
    """

    parent: IntArray
    log_weight: float
    mother_price: FloatArray = field(repr=False)


def log_weight_of(problem: AssignmentProblem, parent: IntArray) -> float:
    """Log-weight L(A) of a parent function, summed from the problem's scores.

    Args:
        problem: the frame pair.
        parent: (N,) int64, mother or -1 per daughter.

    Returns:
        L(A) in nats; -inf for an assignment that the problem forbids (a link that is not a candidate, a
        mother with three daughters, an event of score -inf).

    Raises:
        ValueError: if `parent` has another shape than (N,) or names a mother that does not exist.

    Example:
        >>> import numpy as np
        >>> problem = AssignmentProblem.build([0, 0], [0, 1], [-1.0, -2.0], 1, 2, divide=-3.0)
        >>> log_weight_of(problem, np.array([0, 0]))
        -6.0
    """
    parent = np.asarray(parent)
    if parent.shape != (problem.n_daughters,):
        raise ValueError(f"parent must have shape ({problem.n_daughters},), got {parent.shape}.")
    if parent.size and (parent.min() < -1 or parent.max() >= problem.n_mothers):
        raise ValueError(
            f"parent must lie in -1 .. {problem.n_mothers - 1}, got {parent.min()} .. {parent.max()}."
        )
    used = parent[problem.daughter] == problem.mother
    load = np.bincount(parent[parent >= 0], minlength=problem.n_mothers)
    is_candidate = np.count_nonzero(used) == np.count_nonzero(parent >= 0)
    if not is_candidate or (load > 2).any():
        return float("-inf")
    return float(
        problem.score[used].sum()
        + problem.appear[parent < 0].sum()
        + problem.disappear[load == 0].sum()
        + problem.divide[load == 2].sum()
    )
