"""Assignment problems from tensors: dense or sparse scores as one flat vector of choices, and problems on the CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, Marginals
from torchtrack_uq.assignment.problem import LARGEST_SCORE
from torchtrack_uq.errors import InputError
from torchtrack_uq.posterior.problems import Floats, is_worth_threads, solve_pairs

Result = TypeVar("Result")
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ProblemBatch:
    """Assignment problems behind each other in one vector of choices: links, then null, disappear, divide.

    Attributes:
        mother: (E,) int64, row of each link within its problem.
        daughter: (E,) int64, its column.
        link_start: (B + 1,) int64, links of each problem.
        mother_start: (B + 1,) int64, mothers of each problem.
        daughter_start: (B + 1,) int64, daughters of each problem.
    """

    mother: Integers
    daughter: Integers
    link_start: Integers
    mother_start: Integers
    daughter_start: Integers

    other_gradients = (
        "train on the joint likelihood, the score of the truth less log_z, whose gradient needs no second sum, mask "
        "pairs that are out of the question, or use method bp"
    )

    def where(self, pair: int) -> str:
        """What errors call a problem."""
        return f"problem {pair} of the batch"

    @property
    def n_pairs(self) -> int:
        """Number of problems B."""
        return len(self.link_start) - 1

    @property
    def n_cells(self) -> int:
        """Number of all daughters."""
        return int(self.daughter_start[-1])

    def columns(self, pair: int) -> tuple[slice, slice, slice, slice]:
        """Where a problem's links, nulls, disappearances and divisions lie in a vector of choices."""
        e, n, m = len(self.mother), self.n_cells, int(self.mother_start[-1])

        def part(start: Integers, offset: int) -> slice:
            return slice(offset + int(start[pair]), offset + int(start[pair + 1]))

        return (
            part(self.link_start, 0),
            part(self.daughter_start, e),
            part(self.mother_start, e + n),
            part(self.mother_start, e + n + m),
        )

    def build(self, pair: int, score: Floats) -> AssignmentProblem:
        """One of the problems with its scores."""
        links, null, disappear, divide = self.columns(pair)
        return AssignmentProblem(
            self.mother[links],
            self.daughter[links],
            score[links],
            score[null],
            score[disappear],
            score[divide],
        )

    def solve(self, function: Callable[[AssignmentProblem], Result], score: Floats) -> list[Result]:
        """Apply a solver to every problem, in parallel threads; errors name the problem."""

        def one(pair: int) -> Result:
            return self.solve_one(function, score, pair)

        in_threads = is_worth_threads(len(self.mother), self.n_pairs)
        return solve_pairs(one, range(self.n_pairs), None if in_threads else 1)

    def solve_one(self, function: Callable[[AssignmentProblem], Result], score: Floats, pair: int) -> Result:
        """Apply a solver to one problem; errors name it."""
        try:
            return function(self.build(pair, score))
        except (ValueError, MemoryError) as error:
            raise InputError(f"{self.where(pair)}: {error}") from error

    def gather(self, found: Sequence[Marginals]) -> Floats:
        """(C,) probabilities of all choices."""
        choice = np.zeros(len(self.mother) + self.n_cells + 2 * int(self.mother_start[-1]))
        for pair, one in enumerate(found):
            parts = (one.link, one.null, one.disappear, one.divide)
            for column, values in zip(self.columns(pair), parts, strict=True):
                choice[column] = values
        return choice


class FlatScores(NamedTuple):
    """Flat scores (C,) float64 with gradient, their problems, and how to put results back into shape."""

    score: Tensor
    problems: ProblemBatch
    place: Tensor
    shape: torch.Size
    n_mothers: int
    n_daughters: int


def flat_scores(
    score: Tensor,
    appear: Tensor | float,
    disappear: Tensor | float,
    divide: Tensor | float,
    index: Tensor | None,
    mask: Tensor | None,
    temperature: Tensor | float,
    capacity: int,
) -> FlatScores:
    """Check and flatten what `link_marginals` was given; arguments and errors as there."""
    if not isinstance(score, Tensor) or not score.is_floating_point():
        raise InputError("score must be a tensor of floats: (B, M, N), (M, N), or (E,) with index")
    if score.dtype not in (torch.float32, torch.float64):
        raise InputError(
            f"score is {score.dtype}, which has too few digits; expected float32 or float64: convert with .float()"
        )
    if mask is not None and (mask.shape != score.shape or mask.dtype != torch.bool):
        raise InputError(
            f"mask is {tuple(mask.shape)} of {mask.dtype}; expected {tuple(score.shape)} of torch.bool"
        )
    candidate = (score.detach() != -torch.inf) if mask is None else mask & (score.detach() != -torch.inf)
    if index is not None:
        row, column, n_mothers, n_daughters = _sparse(score, index, appear, disappear)
        problem = torch.zeros_like(row)
        n_problems = 1
    elif score.ndim in (2, 3):
        n_problems, n_mothers, n_daughters = (1, *score.shape) if score.ndim == 2 else score.shape
        grid = torch.arange(score.numel(), device=score.device)
        problem, rest = grid // max(n_mothers * n_daughters, 1), grid % max(n_mothers * n_daughters, 1)
        row, column = rest // max(n_daughters, 1), rest % max(n_daughters, 1)
    else:
        raise InputError(f"score is {tuple(score.shape)}; expected (B, M, N), (M, N), or (E,) with index")
    place = candidate.flatten().nonzero().squeeze(1)
    links = score.flatten()[place]
    events = [
        _event(name, value, (n_problems, size), score)
        for name, value, size in (
            ("appear", appear, n_daughters),
            ("disappear", disappear, n_mothers),
            ("divide", divide if capacity == 2 else -torch.inf, n_mothers),
        )
    ]
    flat = torch.cat([links, *events]).double()
    bad = torch.isnan(flat.detach()) | (flat.detach() == torch.inf)
    if bool(bad.any()):
        raise InputError("scores must be finite, or -inf to forbid: got NaN or +inf")
    t = torch.as_tensor(temperature, dtype=torch.float64, device=score.device)
    if t.ndim or not bool(torch.isfinite(t.detach())) or float(t.detach()) <= 0:
        raise InputError(f"temperature must be one positive number, got {temperature}")
    forbidden = flat.detach() == -torch.inf
    finite = flat.masked_fill(forbidden, 0.0) / t
    if bool((finite.detach().abs() > LARGEST_SCORE).any()):
        raise InputError(
            f"scores over T must be at most {LARGEST_SCORE:g} in size: sums lose what matters beyond it"
        )
    flat = finite.masked_fill(forbidden, -torch.inf)
    counts = torch.bincount(problem[place], minlength=n_problems).cpu().numpy()
    batch = ProblemBatch(
        row[place].cpu().numpy(),
        column[place].cpu().numpy(),
        np.concatenate([[0], np.cumsum(counts)]),
        np.arange(n_problems + 1) * n_mothers,
        np.arange(n_problems + 1) * n_daughters,
    )
    return FlatScores(flat, batch, place, score.shape, n_mothers, n_daughters)


def _sparse(
    score: Tensor, index: Tensor, appear: Tensor | float, disappear: Tensor | float
) -> tuple[Tensor, Tensor, int, int]:
    if score.ndim != 1 or index.shape != (2, len(score)) or index.dtype != torch.int64:
        raise InputError(
            f"score is {tuple(score.shape)} and index {tuple(index.shape)} of {index.dtype}; expected (E,) and (2, E) "
            "of torch.int64"
        )
    sizes = []
    for name, value, of in (("disappear", disappear, index[0]), ("appear", appear, index[1])):
        most = int(of.max()) + 1 if len(of) else 0
        size = len(value) if isinstance(value, Tensor) and value.ndim == 1 else most
        if len(of) and (int(of.min()) < 0 or most > size):
            raise InputError(f"index goes from {int(of.min())} to {most - 1}, but {name} has {size} entries")
        sizes.append(size)
    pair = index[0] * max(sizes[1], 1) + index[1]
    if len(torch.unique(pair)) < len(pair):
        raise InputError("index names a pair twice; add up or drop what stands twice")
    return index[0], index[1], sizes[0], sizes[1]


def _event(name: str, value: Tensor | float, shape: tuple[int, int], score: Tensor) -> Tensor:
    values = torch.as_tensor(value, dtype=score.dtype, device=score.device)
    try:
        return values.expand(shape).flatten()
    except RuntimeError as error:
        raise InputError(f"{name} is {tuple(values.shape)}; expected what broadcasts to {shape}") from error
