"""All frame pairs of a movie as assignment problems on the CPU, for any scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.assignment import AssignmentProblem, EliminationTooLargeError, Marginals, solve_each
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph

Result = TypeVar("Result")
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_WORTH_A_THREAD = 3_000  # links of a frame pair


@dataclass(frozen=True, eq=False)
class MovieProblems:
    """The frame pairs of a movie without scores; scores come as vectors of choices (see `Choices`).

    Attributes:
        mother: (E,) int64, as in the graph; so are the next three.
        daughter: (E,) int64.
        cell_offsets: (n_frames + 1,) int64.
        link_offsets: (n_frames + 1,) int64.
        between: Pairs of the last frame of one movie and the first frame of the next; they have no choices.
    """

    mother: NDArray[np.int64]
    daughter: NDArray[np.int64]
    cell_offsets: NDArray[np.int64]
    link_offsets: NDArray[np.int64]
    between: frozenset[int] = frozenset()

    @classmethod
    def of(cls, graph: CandidateGraph) -> "MovieProblems":
        """The structure of a graph on any device."""
        return cls(
            graph.mother.cpu().numpy(),
            graph.daughter.cpu().numpy(),
            graph.cell_offsets.numpy(),
            graph.link_offsets.numpy(),
            frozenset(start - 1 for start in graph.starts),
        )

    other_gradients = (
        "train on the joint likelihood (joint_nll, log_prob), whose gradient needs no second sum, offer fewer "
        "candidate links, or use method bp"
    )

    def where(self, pair: int) -> str:
        """What errors call a pair: its frames, in their movie."""
        if len(self.between) < 2:  # -1 stands for the first movie
            return f"frames {pair} and {pair + 1}"
        starts = sorted(last + 1 for last in self.between)
        movie = int(np.searchsorted(starts, pair, side="right")) - 1
        first = pair - starts[movie]
        return f"frames {first} and {first + 1} of movie {movie} of the batch"

    @property
    def n_pairs(self) -> int:
        """Number of frame pairs."""
        return len(self.cell_offsets) - 2

    @property
    def n_cells(self) -> int:
        """Number of cells N."""
        return int(self.cell_offsets[-1])

    @property
    def n_choices(self) -> int:
        """Length C of a vector of choices."""
        return len(self.mother) + 3 * self.n_cells

    def columns(self, pair: int) -> tuple[slice, slice, slice, slice]:
        """Where a pair's links, appearances, disappearances and divisions lie in a vector of choices."""
        first_mother, first_daughter, end = (int(k) for k in self.cell_offsets[pair : pair + 3])
        if pair in self.between:
            first_mother = end = first_daughter
        e, n = len(self.mother), self.n_cells
        return (
            slice(int(self.link_offsets[pair + 1]), int(self.link_offsets[pair + 2])),
            slice(e + first_daughter, e + end),
            slice(e + n + first_mother, e + n + first_daughter),
            slice(e + 2 * n + first_mother, e + 2 * n + first_daughter),
        )

    def mothers(self, pair: int) -> slice:
        """Cells that are the mothers of a pair."""
        _, _, disappear, _ = self.columns(pair)
        before = len(self.mother) + self.n_cells
        return slice(disappear.start - before, disappear.stop - before)

    def build(self, pair: int, score: Floats, keep: Bools | None = None) -> AssignmentProblem:
        """One frame pair.

        Args:
            pair: Pair p links frames p and p + 1.
            score: (C,) scores of all choices of the movie.
            keep: (E_p,) bool, which of the pair's links to list; all by default.
        """
        links, appear, disappear, divide = self.columns(pair)
        chosen = slice(None) if keep is None else keep
        return AssignmentProblem(
            (self.mother[links] - self.cell_offsets[pair])[chosen],
            (self.daughter[links] - self.cell_offsets[pair + 1])[chosen],
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
