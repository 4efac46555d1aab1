"""Where a long movie is cut into stretches, and which movies that would cost their proofs."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.dropping import choose_kept
from torchtrack_uq.assignment.fitting import FITTING
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, components_of
from torchtrack_uq.assignment.types import FloatArray, IntArray

LEAST = 80_000  # daughters of a stretch
LEAST_OF_PIECE = 50_000  # of a piece of a movie that is not held as a whole, to save memory
MARGIN = 4  # reaches on each side of it; a reach is as many daughters as a mother's links span
MANY = 0.01  # share of the daughters in components that cuts would cost their proof
OF_MARGIN = 8  # a stretch is at least so many margins long, in a piece half as many: no three overlap


class Stretch(NamedTuple):
    """Daughters `first` to `last` (excluded), worked on with those from `low` to `high`."""

    first: int
    last: int
    low: int
    high: int


def stretches_of(
    problem: AssignmentProblem, chosen: IntArray, inside: tuple[int, int] | None = None
) -> list[Stretch]:
    """The stretches of a movie whose daughters and mothers come in the order of their frames; one where that is short.

    They depend on the movie only, not on how many cores there are. A cut goes where the fewest links of the MAP,
    `chosen` (N,) by place, belong to mothers with candidates on both sides: between two frames, where links over gaps
    alone cross.

    Args:
        problem: The movie.
        chosen: Of its MAP.
        inside: First and last (excluded) daughter of what is to be shared out; by default all.
    """
    n, mother = problem.n_daughters, problem.links.mother
    begin, end = (0, n) if inside is None else inside
    first, last = first_and_last(problem)
    reach = int((last - first + 1).max(initial=0))
    margin = MARGIN * reach
    least = max(LEAST, OF_MARGIN * margin) if inside is None else max(LEAST_OF_PIECE, OF_MARGIN * margin // 2)
    count = (end - begin) // least
    if count < 2:
        return [Stretch(begin, end, begin, end)]
    linked = np.flatnonzero(chosen >= 0)
    crossing = np.bincount(first[mother[chosen[linked]]] + 1, minlength=n + 1)[: n + 1]
    crossing = np.cumsum(crossing - np.bincount(linked + 1, minlength=n + 1))

    def cut(near: int) -> int:
        if near <= begin or near >= end:
            return begin if near <= begin else end
        low = max(near - reach, begin)
        return low + int(np.argmin(crossing[low : near + 1]))

    cuts = [cut(begin + (end - begin) * k // count) for k in range(count + 1)]
    return [Stretch(a, b, cut(a - margin), cut(b + margin)) for a, b in pairwise(cuts)]


def lose_by_cuts(
    problem: AssignmentProblem,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
) -> bool:
    """Whether a movie has many components that reach far in time, but are narrow: such as cells in channels.

    In one go they are summed whole, and proved. Long ones that are wide do not fit, and are an estimate either way.
    """
    ends = first_and_last(problem)
    margin = MARGIN * int((ends[1] - ends[0] + 1).max(initial=0))
    keep = choose_kept(problem, chosen, wanted, np.full(wanted.size, tolerance))
    of_daughter, _, n = components_of(problem, keep)
    linked = np.flatnonzero(of_daughter >= 0)
    component = of_daughter[linked]
    first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
    first[component[::-1]], last[component] = linked[::-1], linked  # the last one that is written stays
    size, length = np.bincount(component, minlength=n), last - first + 1
    # of the cells that a mother's links span, a component holds as many as of all along it
    side_by_side = size / length * (margin / MARGIN)
    return float(size[(length > margin) & (side_by_side <= FITTING)].sum()) > MANY * problem.n_daughters


def some_must_be_linked(gauge: Gauge) -> bool:
    """Whether some cell must have a mother or a daughter, and so cannot stand alone where a movie is cut."""
    return bool(gauge.null.min(initial=1.0) == 0.0 or gauge.load[:, 0].min(initial=1.0) == 0.0)


def first_and_last(problem: AssignmentProblem) -> tuple[IntArray, IntArray]:
    """(M,) first and last daughter of each mother's links; 0 and -1 of a mother without."""
    links = problem.links
    first, last = np.zeros(problem.n_mothers, np.int64), np.full(problem.n_mothers, -1)
    linked = np.flatnonzero(np.diff(links.mother_start))
    first[linked] = links.daughter[links.by_mother[links.mother_start[linked]]]
    last[linked] = links.daughter[links.by_mother[links.mother_start[linked + 1] - 1]]
    return first, last
