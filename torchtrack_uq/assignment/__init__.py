"""CPU assignment solvers on numpy and numba; imports no torch."""

from torchtrack_uq.assignment._types import (
    EliminationTooLargeError,
    InfeasibleProblemError,
    NonConvexDivisionError,
)
from torchtrack_uq.assignment.map_solver import solve_map, solve_map_many
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.ranking import KBest, k_best
from torchtrack_uq.assignment.solution import Assignment, log_weight_of

__all__ = [
    "Assignment",
    "AssignmentProblem",
    "EliminationTooLargeError",
    "InfeasibleProblemError",
    "KBest",
    "NonConvexDivisionError",
    "k_best",
    "log_weight_of",
    "solve_map",
    "solve_map_many",
]
