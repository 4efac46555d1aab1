"""Whole histories of a movie, drawn from its posterior, and what in them is independent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment.automatic_sampling import MOST_REDRAWS, N_CHAINS, sample_automatic
from torchtrack_uq.assignment.drawn_parents import DrawnParents
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.drawable import DrawableSums
from torchtrack_uq.posterior.problems import MovieProblems, solve_pair, to_host
from torchtrack_uq.utils.cores import beside

N_DRAWS = 1000
MOST_CELLS = 20_000_000
"""Cells of all draws together, beyond which fewer are drawn by default: 200 of a movie of 100,000 cells."""
FEWEST = 100


@dataclass(eq=False)
class DrawnMothers:
    """(n, N) mothers in n draws, as the draws of frame pairs hold them.

    Attributes:
        n: Draws.
        n_cells: N.
        parts: Cells, index of the first cell that may be their mother, and draws of their mothers from there.
    """

    n: int
    n_cells: int
    parts: list[tuple[slice, int, DrawnParents]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.n

    @property
    def shape(self) -> tuple[int, int]:
        """Of all of it."""
        return self.n, self.n_cells

    def rows(self, begin: int, end: int) -> NDArray[np.int64]:
        """Some of the draws."""
        found = np.full((end - begin, self.n_cells), NO_MOTHER, np.int64)
        for daughters, first, drawn in self.parts:
            parent = drawn.rows(begin, end)
            found[:, daughters] = np.where(parent < 0, NO_MOTHER, parent + first)
        return found


@dataclass(frozen=True, eq=False)
class Histories:
    """Draws of who was whose mother.

    Attributes:
        drawn: Index of each cell's mother, -1 for none: (n, N) int64, or what makes rows of it.
        daughter_component: (N,) int64, component of each cell's choice of a mother: what is asked of different
            components is independent. Cells that are nobody's daughters have components of their own.
        mother_component: (N,) int64, component of how many daughters each cell has, in the same numbering.
        exact: (C,) bool, components whose draws are independent, and right to 0.02 in the probability of any event;
            the others are drawn by Markov chains, see `torchtrack_uq.assignment.automatic_sampling`.
        chain: (n,) int64, the chain that a draw is from, there.
        possible: (E,) bool, candidate links that draws may hold: the others are too improbable to change the
            probability of one event, but a track of many cells may have many of them (`left_out`). None: all may.
    """

    drawn: NDArray[np.int64] | DrawnMothers
    daughter_component: NDArray[np.int64]
    mother_component: NDArray[np.int64]
    exact: NDArray[np.bool_]
    chain: NDArray[np.int64]
    possible: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.drawn)

    @property
    def n_cells(self) -> int:
        """N."""
        return int(self.drawn.shape[1])

    @property
    def mother(self) -> NDArray[np.int64]:
        """(n, N) int64, index of each cell's mother, -1 for none; of large movies `blocks` need less memory."""
        return self.drawn.rows(0, len(self)) if isinstance(self.drawn, DrawnMothers) else self.drawn

    def blocks(self, rows: int) -> Iterator[NDArray[np.int64]]:
        """The same, at most so many draws at a time."""
        for begin in range(0, len(self), rows):
            end = min(begin + rows, len(self))
            yield (
                self.drawn.rows(begin, end) if isinstance(self.drawn, DrawnMothers) else self.drawn[begin:end]
            )

    @property
    def cell_exact(self) -> NDArray[np.bool_]:
        """(N,) bool, cells whose draws are exact, as daughters and as mothers."""
        return self.exact[self.daughter_component] & self.exact[self.mother_component]


def default_draws(n_cells: int) -> int:
    """How many histories are drawn of a movie.

    >>> default_draws(10_000), default_draws(100_000), default_draws(10_000_000)
    (1000, 200, 100)
    """
    return int(np.clip(MOST_CELLS // max(n_cells, 1), FEWEST, N_DRAWS))


def draw_histories(
    graph: CandidateGraph,
    n: int | None = None,
    *,
    seed: int = 0,
    sums: DrawableSums | None = None,
    most_redraws: int = MOST_REDRAWS,
) -> Histories:
    """Draw histories of a movie from p(A) = exp(L(A)) / Z, however ambiguous it is.

    As `sample_mothers`, which refuses movies that cannot be summed over.

    Args:
        graph: Candidate links, scores divided by the temperature.
        n: Number of draws; by default 1000, fewer for movies of more than 20,000 cells, at least 100.
        seed: The same seed gives the same draws.
        sums: `LinkProbabilities.sums` of the same scores, by method "auto" with the default tolerance; what is of other
            scores is not taken. By default the movie is summed over now.
        most_redraws: Of each problem, see `sample_automatic`.

    Raises:
        InputError: Fewer than 2 draws asked for, an infeasible problem, or one that is too ambiguous in which
            second daughters are likelier than first ones.

    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 1, 2]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 1], [1, 2], [9.0, 9.0])
    >>> histories = draw_histories(graph, 3)
    >>> histories.mother.tolist(), histories.daughter_component[1] == histories.daughter_component[2]
    ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], np.False_)
    """
    if n is None:
        n = default_draws(graph.n_cells)
    if n < 2:
        raise InputError(f"n is {n} draws; expected at least 2, and for intervals hundreds")
    problems, scores = MovieProblems.of(graph), to_host(Choices.of(graph).score)
    drawn = DrawnMothers(n, graph.n_cells)
    as_daughter, as_mother = np.full((2, graph.n_cells), -1, np.int64)
    exact: list[NDArray[np.bool_]] = []
    n_components, n_chains = 0, min(N_CHAINS, n)
    possible = np.zeros(graph.n_links, np.bool_)
    seeds = np.random.SeedSequence(seed).generate_state(max(problems.n_pairs, 1)).tolist()
    kept = [None] * problems.n_pairs if sums is None else sums.matching(problems, scores)
    for p, at in enumerate(problems.ranges):
        if at.daughters.start == at.daughters.stop and at.mothers.start == at.mothers.stop:
            continue
        how: Any = {"many_frames": graph.max_gap > 1, "summed": kept[p], "most_redraws": most_redraws}
        sampler = partial(sample_automatic, n=n, seed=seeds[p], **how)
        draws = beside(solve_pair, sampler, partial(problems.build, p, scores), problems.where(p))
        drawn.parts.append((at.daughters, at.mothers.start, draws.drawn))
        as_daughter[at.daughters] = draws.daughter_component + n_components
        as_mother[at.mothers] = draws.mother_component + n_components
        exact.append(draws.exact)
        possible[at.links] = draws.possible
        n_components += len(draws.exact)
    for component in (as_daughter, as_mother):
        none = np.flatnonzero(component < 0)
        component[none] = n_components + np.arange(len(none))
        n_components += len(none)
        exact.append(np.ones(len(none), np.bool_))
    chain = np.arange(n) * n_chains // n
    return Histories(drawn, as_daughter, as_mother, np.concatenate(exact), chain, possible)


def n_daughters(mother: NDArray[np.int64]) -> NDArray[np.int8]:
    """(n, N) int8, how many daughters each cell has in each of n histories (n, N).

    >>> n_daughters(np.array([[-1, 0, 0], [-1, 0, 1]])).tolist()
    [[2, 0, 0], [1, 1, 0]]
    """
    found = np.empty(mother.shape, np.int8)
    for k, one in enumerate(mother):
        found[k] = np.bincount(one[one >= 0], minlength=mother.shape[1])
    return found
