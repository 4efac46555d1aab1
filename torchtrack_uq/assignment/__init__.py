"""CPU assignment solvers on numpy and numba; imports no torch."""

from torchtrack_uq.assignment.derivative import marginals_derivative
from torchtrack_uq.assignment.k_best import KBest, k_best
from torchtrack_uq.assignment.map_solver import solve_map, solve_map_many
from torchtrack_uq.assignment.marginal_result import ComponentReport, Direction, Marginals
from torchtrack_uq.assignment.marginals import marginals
from torchtrack_uq.assignment.parallel import solve_each
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.sampling import sample
from torchtrack_uq.assignment.solution import Assignment, log_weight_of
from torchtrack_uq.assignment.types import (
    EliminationTooLargeError,
    InfeasibleProblemError,
    NonConvexDivisionError,
)
from torchtrack_uq.utils.cores import available_cores

__all__ = [
    "Assignment",
    "AssignmentProblem",
    "ComponentReport",
    "Direction",
    "EliminationTooLargeError",
    "InfeasibleProblemError",
    "KBest",
    "Marginals",
    "NonConvexDivisionError",
    "available_cores",
    "k_best",
    "log_weight_of",
    "marginals",
    "marginals_derivative",
    "sample",
    "solve_each",
    "solve_map",
    "solve_map_many",
]
