"""Whether forbidden events leave any assignment, for methods that would answer without noticing that they do not."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, solve_map
from torchtrack_uq.posterior.problem_batch import ProblemBatch
from torchtrack_uq.posterior.problems import MovieProblems, to_host


def refuse_infeasible(problems: MovieProblems | ProblemBatch, score: Tensor) -> None:
    """Refuse problems without any assignment of which a forbidden event is the reason.

    Args:
        problems: What the scores belong to.
        score: (C,) scores of all choices.

    Raises:
        InputError: Some problem has none.
    """
    problems.solve(_try, to_host(score))


def _try(problem: AssignmentProblem) -> None:
    """Solve with 0 for every finite score: any assignment will do."""
    solve_map(
        replace(
            problem,
            **{
                name: np.where(np.isneginf(getattr(problem, name)), -np.inf, 0.0)
                for name in ("score", "appear", "disappear", "divide")
            },
        )
    )
