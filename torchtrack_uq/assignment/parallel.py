"""Many frame pairs at once: the kernels run without the GIL, so threads use all cores."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.utils.cores import in_threads

Result = TypeVar("Result")


def solve_each(
    function: Callable[[AssignmentProblem], Result],
    problems: Iterable[AssignmentProblem],
    n_threads: int | None = None,
) -> list[Result]:
    """Apply a solver to many frame pairs in a thread pool.

    Args:
        function: a solver of one problem, such as `solve_map` or `functools.partial(marginals, k=50)`.
        problems: the frame pairs.
        n_threads: number of threads; default: the cores this process may use.

    Returns:
        One result per problem, in the order of the problems, the same as without threads.

    Raises:
        ValueError: n_threads < 1.
        Exception: the first error that `function` raised, in the order of the problems.

    Example:
        >>> from torchtrack_uq.assignment import solve_map
        >>> pairs = [AssignmentProblem.build([0], [0], [s], 1, 1, appear=-5) for s in (-1.0, -2.0)]
        >>> [solution.log_weight for solution in solve_each(solve_map, pairs)]
        [-1.0, -2.0]
    """
    if n_threads is not None and n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, got {n_threads}.")
    return list(in_threads(function, problems, n_threads))
