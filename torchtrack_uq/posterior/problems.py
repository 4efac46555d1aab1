"""All frame pairs of a movie, or the movie as one, as assignment problems on the CPU, for any scores."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.assignment import AssignmentProblem, EliminationTooLargeError, Marginals, solve_each
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.batches import ProblemRanges
from torchtrack_uq.links.candidates import CandidateGraph

Result = TypeVar("Result")
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_WORTH_A_THREAD = 3_000  # links of a frame pair


@dataclass(frozen=True, eq=False)
class MovieProblems:
    """The assignment problems of a movie without scores; scores come as vectors of choices (see `Choices`).

    Attributes:
        mother: (E,) int64, as in the graph; so are the next two.
        daughter: (E,) int64.
        n_cells: Number of cells N.
        ranges: Where each problem's links, mothers and daughters lie.
        starts: First frame of each movie.
        max_gap: How many frames a link may span; with 1, problems are pairs of frames, else movies.
    """

    mother: NDArray[np.int64]
    daughter: NDArray[np.int64]
    n_cells: int
    ranges: Sequence[ProblemRanges]
    starts: tuple[int, ...] = (0,)
    max_gap: int = 1

    @classmethod
    def of(cls, graph: CandidateGraph) -> "MovieProblems":
        """The structure of a graph on any device."""
        return cls(
            graph.mother.cpu().numpy(),
            graph.daughter.cpu().numpy(),
            graph.n_cells,
            graph.problem_ranges,
            graph.starts,
            graph.max_gap,
        )

    other_gradients = (
        "train on the joint likelihood (joint_nll, log_prob), whose gradient needs no second sum, offer fewer "
        "candidate links, or use method bp"
    )

    def where(self, pair: int) -> str:
        """What errors call a problem: its frames, in their movie."""
        first, last = self.ranges[pair].first, self.ranges[pair].last
        movie = bisect_right(self.starts, first) - 1
        of_movie = f" of movie {movie} of the batch" if len(self.starts) > 1 else ""
        start = self.starts[movie]
        between = "and" if self.max_gap == 1 else "to"
        return f"frames {first - start} {between} {last - start}{of_movie}"

    @property
    def n_pairs(self) -> int:
        """Number of problems P."""
        return len(self.ranges)

    @property
    def n_choices(self) -> int:
        """Length C of a vector of choices."""
        return len(self.mother) + 3 * self.n_cells

    def columns(self, pair: int) -> tuple[slice, slice, slice, slice]:
        """Where a problem's links, appearances, disappearances and divisions lie in a vector of choices."""
        at, e, n = self.ranges[pair], len(self.mother), self.n_cells

        def shifted(cells: slice, by: int) -> slice:
            return slice(cells.start + by, cells.stop + by)

        return at.links, shifted(at.daughters, e), shifted(at.mothers, e + n), shifted(at.mothers, e + 2 * n)

    def mothers(self, pair: int) -> slice:
        """Cells that are the mothers of a problem."""
        return self.ranges[pair].mothers

    def build(self, pair: int, score: Floats, keep: Bools | None = None) -> AssignmentProblem:
        """One problem.

        Args:
            pair: Its number.
            score: (C,) scores of all choices of the movie.
            keep: (E_p,) bool, which of the pair's links to list; all by default.
        """
        links, appear, disappear, divide = self.columns(pair)
        chosen = slice(None) if keep is None else keep
        return AssignmentProblem(
            (self.mother[links] - self.ranges[pair].mothers.start)[chosen],
            (self.daughter[links] - self.ranges[pair].daughters.start)[chosen],
            score[links][chosen],
            score[appear],
            score[disappear],
            score[divide],
        )

    def solve(self, function: Callable[[AssignmentProblem], Result], score: Floats) -> list[Result]:
        """Apply a solver to every frame pair, in parallel threads; errors name the frames."""

        def one(pair: int) -> Result:
            return solve_pair(function, lambda: self.build(pair, score), self.where(pair))

        in_threads = is_worth_threads(len(self.mother), self.n_pairs)
        return solve_pairs(one, range(self.n_pairs), None if in_threads else 1)

    def gather(self, found: Sequence[Marginals]) -> Floats:
        """(C,) probabilities of all choices; cells of the first frame appear, those of the last disappear."""
        choice = np.zeros(self.n_choices)
        for pair, marginals in enumerate(found):
            parts = (marginals.link, marginals.null, marginals.disappear, marginals.divide)
            for column, values in zip(self.columns(pair), parts, strict=True):
                choice[column] = values
        return choice


def is_worth_threads(n_links: int, n_pairs: int) -> bool:
    """Whether frame pairs are large enough on average to be solved in parallel.

    Kernels of small pairs are over before another thread has taken the GIL: measured, threads cost 30 %.
    """
    return n_links > _WORTH_A_THREAD * n_pairs


def solve_pair(
    function: Callable[[AssignmentProblem], Result], build: Callable[[], AssignmentProblem], where: str
) -> Result:
    """Build and solve a frame pair; errors say `where`, such as "frames 3 and 4"."""
    try:
        return function(build())
    except EliminationTooLargeError as error:
        raise InputError(
            f"{where} are too ambiguous for {error.task}: {error.what}; {error.advice}"
        ) from error
    except ValueError as error:
        raise InputError(f"{where} cannot be linked: {error}") from error
    except Exception as error:
        error.add_note(f"while solving {where}")
        raise


def solve_pairs(
    function: Callable[[int], Result], pairs: Sequence[int], n_threads: int | None = None
) -> list[Result]:
    """Call a function for each pair in parallel threads (the kernels run without the GIL), in order."""
    # `solve_each` hands its items through untouched
    return solve_each(function, pairs, n_threads)  # type: ignore[arg-type]


def to_host(tensor: torch.Tensor) -> Floats:
    """A tensor's numbers on the CPU in float64."""
    numbers: Floats = tensor.detach().cpu().numpy().astype(np.float64)
    return numbers


IntArray = NDArray[np.int64]
LINK, APPEAR, DISAPPEAR, DIVIDE = range(4)  # kinds of choices, in the order of their columns


@dataclass(frozen=True, eq=False)
class FrameChoices:
    """Numbering of a frame pair's choices.

    Attributes:
        problem: The frame pair, links sorted by daughter and then mother as in a graph.
        start: (4,) int64, where its links, appearances, disappearances and divisions begin.
    """

    problem: AssignmentProblem
    start: IntArray

    @classmethod
    def of(cls, problems: MovieProblems, pair: int, problem: AssignmentProblem) -> "FrameChoices":
        """The choices of frame pair `pair` of a movie."""
        return cls(problem, np.array([column.start for column in problems.columns(pair)]))

    def option(self, daughter: IntArray, parent: IntArray) -> IntArray:
        """The choice that each daughter makes with a parent: its link, or to appear with parent -1."""
        if not len(daughter):
            return np.zeros(0, np.int64)
        width = self.problem.n_mothers + 1
        link = np.searchsorted(self.problem.daughter * width + self.problem.mother, daughter * width + parent)
        choice: IntArray = np.where(parent < 0, self.start[APPEAR] + daughter, self.start[LINK] + link)
        return choice

    def of_parent(self, parent: IntArray) -> IntArray:
        """All choices that a parent function (N,) makes."""
        load = np.bincount(parent[parent >= 0], minlength=self.problem.n_mothers)
        return np.concatenate(
            [
                self.option(np.arange(self.problem.n_daughters), parent),
                self.start[DISAPPEAR] + np.flatnonzero(load == 0),
                self.start[DIVIDE] + np.flatnonzero(load == 2),
            ]
        )
