"""Marginals of the CPU engine as a differentiable function of all scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import (
    AssignmentProblem,
    Direction,
    EliminationTooLargeError,
    Marginals,
    marginals,
    marginals_derivative,
)
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.first_derivative import OnlyOnce
from torchtrack_uq.posterior.problems import MovieProblems, solve_pairs, to_host

NO_SECOND_DERIVATIVE = (
    "marginals by exact sums have no second derivative; use method 'AS' or 'SM', whose autograd has, or do without "
    "create_graph"
)
MEMORY = 1 << 28
"""Bytes that the graphs for the derivative of one frame pair may take."""


class SumOptions(NamedTuple):
    """How to sum: see `torchtrack_uq.assignment.marginals`."""

    method: str
    tolerance: float
    memory_limit: int | None
    k: int | None = None
    many_frames: bool = False

    def solve(self, problem: AssignmentProblem) -> Marginals:
        """Marginals of one problem."""
        return marginals(
            problem, method=self.method, k=self.k, tolerance=self.tolerance, memory_limit=self.memory_limit,
            many_frames=self.many_frames,
        )  # fmt: skip


class MarginalsFunction(torch.autograd.Function):
    """Marginals and log Z of all frame pairs, with gradients.

    The gradient of log Z is the marginals. That of the marginals is the Hessian of log Z, which is symmetric: the
    vector-Jacobian product with v is the derivative of the marginals along v, in closed form (`marginals_derivative`).
    A second derivative raises an error.
    """

    @staticmethod
    def forward(
        ctx: Any,
        score: Tensor,
        problems: MovieProblems,
        options: SumOptions,
        found: Sequence[Marginals] | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sum over all assignments.

        Args:
            ctx: Context of the backward pass.
            score: (C,) float64 scores of all choices at temperature 1, on any device.
            problems: The frame pairs.
            options: Method and tolerance.
            found: What `options.solve` says of every frame pair at these scores, if that is known.

        Returns:
            (C,) probabilities, (P,) log Z, (4, P) covered mass, error bound, whether it is exact and the bound on the
            error of log Z, and (N,) the bound on the error of each cell's probabilities as a daughter.
        """
        numbers = to_host(score)
        if found is None:
            found = problems.solve(options.solve, numbers)
        choice = problems.gather(found)
        certificate = np.array(
            [[m.covered_mass, m.error_bound, m.exact, m.log_z_error] for m in found]
        ).reshape(-1, 4)
        of_cell = np.zeros(problems.n_cells)
        for pair, one in enumerate(found):
            start = len(problems.mother)
            appear = problems.columns(pair)[1]
            of_cell[appear.start - start : appear.stop - start] = one.daughter_error
        ctx.problems, ctx.numbers, ctx.choice, ctx.found = problems, numbers, choice, found
        ctx.save_for_backward(score)
        log_z = np.array([m.log_z for m in found])
        outputs = [choice, log_z, np.ascontiguousarray(certificate.T), of_cell]
        tensors = [torch.from_numpy(values.astype(np.float64)).to(score.device) for values in outputs]
        ctx.mark_non_differentiable(tensors[2], tensors[3])
        return tensors[0], tensors[1], tensors[2], tensors[3]

    @staticmethod
    def backward(
        ctx: Any, grad_choice: Tensor, grad_log_z: Tensor, *_: Tensor
    ) -> tuple[Tensor, None, None, None]:
        """Directional derivative of the marginals along `grad_choice`, plus marginals times `grad_log_z`."""
        problems: MovieProblems = ctx.problems
        direction, of_log_z = to_host(grad_choice), to_host(grad_log_z)
        gradient = np.zeros(len(ctx.numbers))

        def one(pair: int) -> None:
            columns = problems.columns(pair)
            if of_log_z[pair] != 0:
                for column in columns:
                    gradient[column] += of_log_z[pair] * ctx.choice[column]
            if any(np.any(direction[column] != 0) for column in columns):
                for column, part in zip(columns, along(pair), strict=True):
                    gradient[column] += part

        def along(pair: int) -> Direction:
            part = Direction(*(direction[column] for column in problems.columns(pair)))
            found: Marginals = ctx.found[pair]
            if not found.exact:  # the derivative of something else would be none
                raise InputError(
                    f"{problems.where(pair)}: the probabilities are an estimate, which has no gradient; raise "
                    f"memory_limit, {problems.other_gradients}"
                )
            try:
                return marginals_derivative(problems.build(pair, ctx.numbers), found, part, MEMORY)
            except (EliminationTooLargeError, ValueError) as error:
                why = error.what if isinstance(error, EliminationTooLargeError) else error
                raise InputError(
                    f"{problems.where(pair)}: too ambiguous for gradients of exact marginals ({why}); "
                    f"{problems.other_gradients}"
                ) from error

        solve_pairs(one, range(problems.n_pairs))
        result = torch.from_numpy(gradient).to(grad_choice)
        if torch.is_grad_enabled():  # somebody wants a second derivative: not silently without this part
            sources = (*ctx.saved_tensors, grad_choice, grad_log_z)
            result = OnlyOnce.apply(NO_SECOND_DERIVATIVE, result, *sources)  # type: ignore[no-untyped-call]
        return result, None, None, None
