"""Marginals of the CPU engine as a differentiable function of all scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchtrack_uq.assignment import AssignmentProblem, EliminationTooLargeError, Marginals, marginals
from torchtrack_uq.errors import InputError
from torchtrack_uq.posterior.problems import Floats, MovieProblems, solve_pairs, to_host

STEP = 1e-4  # of the directional derivative, in nats, for a direction whose largest entry is 1
KEPT = (1e-6, 1e-4, 1e-3, 1e-2, 5e-2)  # marginals below which links are left out of the derivative
_EVENTS = ("null", "disappear", "divide")
MEMORY = 1 << 26  # bytes for the derivative of one frame pair


class SumOptions(NamedTuple):
    """How to sum: see `torchtrack_uq.assignment.marginals`."""

    method: str
    tolerance: float
    memory_limit: int

    def solve(self, problem: AssignmentProblem) -> Marginals:
        """Marginals of one frame pair."""
        return marginals(
            problem, method=self.method, tolerance=self.tolerance, memory_limit=self.memory_limit
        )


class MarginalsFunction(torch.autograd.Function):
    """Marginals and log Z of all frame pairs, with gradients.

    The gradient of log Z is the marginals. That of the marginals is the Hessian of log Z, which is symmetric:
    the vector-Jacobian product with v is the directional derivative of the marginals along v, here by central
    differences of two sums per frame pair with step 1e-4 nat (error of the order of 1e-8). Both sums run over
    the same links: those of marginal above 1e-6, or more if that does not fit, unless nothing was left out of
    the forward sum.
    """

    @staticmethod
    def forward(
        ctx: Any,
        score: Tensor,
        problems: MovieProblems,
        options: SumOptions,
        found: Sequence[Marginals] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sum over all assignments.

        Args:
            ctx: Context of the backward pass.
            score: (C,) float64 scores of all choices at temperature 1, on any device.
            problems: The frame pairs.
            options: Method and tolerance.
            found: What `options.solve` says of every frame pair at these scores, if that is known.

        Returns:
            (C,) probabilities, (P,) log Z, and (3, P) covered mass, error bound and whether it is exact.
        """
        numbers = to_host(score)
        if found is None:
            found = problems.solve(options.solve, numbers)
        choice = problems.gather(found)
        certificate = np.array([[m.covered_mass, m.error_bound, m.exact] for m in found]).reshape(-1, 3).T
        ctx.problems, ctx.numbers, ctx.choice = problems, numbers, choice
        ctx.nothing_left_out = [m.error_bound == 0.0 for m in found]
        outputs = [choice, np.array([m.log_z for m in found]), np.ascontiguousarray(certificate)]
        tensors = [torch.from_numpy(values.astype(np.float64)).to(score.device) for values in outputs]
        ctx.mark_non_differentiable(tensors[2])
        return tensors[0], tensors[1], tensors[2]

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_choice: Tensor, grad_log_z: Tensor, _: Tensor
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
                parts = _derivative(
                    problems, pair, ctx.numbers, ctx.choice, direction, ctx.nothing_left_out[pair]
                )
                for column, part in zip(columns, parts, strict=True):
                    gradient[column] += part

        solve_pairs(one, range(problems.n_pairs))
        return torch.from_numpy(gradient).to(grad_choice), None, None, None


def _derivative(
    problems: MovieProblems, pair: int, score: Floats, choice: Floats, direction: Floats, whole: bool
) -> list[Floats]:
    """Derivative of one pair's marginals along a direction of its scores: links, null, disappear, divide."""
    columns = problems.columns(pair)
    links = columns[0]
    largest = max(float(np.abs(direction[column]).max(initial=0.0)) for column in columns)
    step = STEP / largest
    for threshold in (0.0, *KEPT) if whole else KEPT:
        keep = choice[links] > threshold
        try:
            ahead, behind = (
                marginals(
                    problems.build(pair, score + sign * step * direction, keep),
                    method="exact",
                    tolerance=0.0,
                    memory_limit=MEMORY,
                )
                for sign in (1.0, -1.0)
            )
        except EliminationTooLargeError:
            continue
        link = np.zeros(links.stop - links.start)
        link[keep] = (ahead.link - behind.link) / (2 * step)
        rest = [(getattr(ahead, name) - getattr(behind, name)) / (2 * step) for name in _EVENTS]
        return [link, *rest]
    raise InputError(
        f"frames {pair} and {pair + 1} are too ambiguous for gradients of exact marginals: use method='AS' or "
        "'bp', or train on `log_prob`, whose gradient needs no second sum"
    )
