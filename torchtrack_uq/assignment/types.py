"""Array types and errors shared by the assignment engine."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
SmallIntArray: TypeAlias = NDArray[np.int32]
BoolArray: TypeAlias = NDArray[np.bool_]


class InfeasibleProblemError(ValueError):
    """No assignment satisfies the constraints (a daughter or a mother that must be linked cannot be)."""


class NonConvexDivisionError(ValueError):
    """A mother's second daughter costs less than its first, which shortest augmenting paths cannot rank."""


class EliminationTooLargeError(MemoryError):
    """Exact elimination of a component would exceed the memory limit.

    Args:
        what: What is too large, with the size of the component and the limit.
        advice: What to do about it.
        task: What it is too large for.
    """

    def __init__(self, what: str, advice: str, task: str = "method exact") -> None:
        super().__init__(f"{what}; {advice}.")
        self.what, self.advice, self.task = what, advice, task
