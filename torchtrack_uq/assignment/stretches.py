"""A long movie stretch by stretch: each with some frames more on both sides, in which it forgets where it was cut.

A stretch holds the links of its daughters and of its mothers. Those that lead outside are never kept, and a cell that
the MAP gives one of these is cut off with all its links, so that the MAP of what is left keeps weight 1. Such cells
stand alone, and of these the certificate uses nothing but what holds whatever lies outside: R is at most r, and D at
least the null weight or what the next stretch has proved (docs/assignment.md, "Long movies"). So what is proved of a
stretch's components holds in the movie. What is not proved is an estimate anyway, and comes from where the cut is far.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.by_clusters import CutOut, marginals_by_clusters
from torchtrack_uq.assignment.clusters import Counted
from torchtrack_uq.assignment.cuts import Stretch, first_and_last
from torchtrack_uq.assignment.daughter_bounds import Floor
from torchtrack_uq.assignment.dropping import Elimination
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.part import Part, part_of
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import SMALLEST, Gauge, Share, components_of
from torchtrack_uq.assignment.types import BoolArray, EliminationTooLargeError, FloatArray, IntArray
from torchtrack_uq.utils.cores import in_threads
from torchtrack_uq.utils.free_memory import give_back_freed_memory


class _Found(NamedTuple):
    """What was found of a stretch's own cells, numbered as in the movie (`Marginals`), and which links it kept.

    Attributes:
        place: (F',) int64, its own links.
        margin: (G,) int64, the links in its margins.
        kept_in_margin: (G,) bool.
    """

    place: IntArray
    daughter: IntArray
    mother: IntArray
    link: FloatArray
    kept: BoolArray
    null: FloatArray
    disappear: FloatArray
    divide: FloatArray
    daughter_error: FloatArray
    mother_error: FloatArray
    log_z: float
    converged: bool
    margin: IntArray
    kept_in_margin: BoolArray


CLIPPED = 1e10 * SMALLEST
"""Weights below may be larger than they should be, see `gauge_of`."""


class Proved(NamedTuple):
    """What a stretch has proved of its daughters, numbered as in the movie.

    Attributes:
        daughter: (n,) int64, in order.
        worth: (n,) lower bound of D of each, in units of her null weight (which depends on no gauge), whatever lies
            outside the stretch, and with any less weight on the links in it that are not kept.
        kept: Places of its kept links, in order.
    """

    daughter: IntArray
    worth: FloatArray
    kept: IntArray

    def floor(self, part: Part, keep: BoolArray, null: FloatArray) -> Floor:
        """Of the stretch before, of which links (F',) are kept, with null weights (N',)."""
        worth = null.copy()
        if self.daughter.size:
            begin, end = np.searchsorted(part.daughter, (self.daughter[0], self.daughter[-1] + 1))
            here = part.daughter[begin:end]
            at = np.minimum(np.searchsorted(self.daughter, here), self.daughter.size - 1)
            known = (self.daughter[at] == here) & (null[begin:end] > CLIPPED)
            worth[begin:end][known] *= np.maximum(self.worth[at[known]], 1.0)
        kept = np.isin(part.link, self.kept, assume_unique=True) & ~keep
        return Floor(worth, kept)


NOTHING = Proved(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
"""At the end of a movie."""


def marginals_by_stretches(
    problem: AssignmentProblem,
    gauge: Gauge,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
    limit: int,
    share: Share,
    stretches: Sequence[Stretch],
    following: Proved = NOTHING,
    tell: Callable[[Proved], None] | None = None,
) -> Marginals:
    """What `marginals_by_clusters` finds, stretch by stretch; every core works on one, which takes its part of `limit`.

    Log Z is an estimate without bounds, and components are not reported. Of cells outside all stretches nothing is
    found: they have no mother and no daughter.

    Args:
        problem: The movie, or a part of it with the links that cross the ends of its stretches.
        gauge: Its weights.
        chosen: (N,) place of each daughter's link in the MAP, -1 for none.
        wanted: (F,) odds of each link if its mother were free.
        tolerance: As for `marginals_by_clusters`, like the next two.
        limit: Bytes.
        share: Arcs of a component.
        stretches: In order, one beginning where the other ends.
        following: What is proved of the daughters beyond the last stretch.
        tell: Called with what the first stretch proves.
    """
    links = problem.links
    first, last = first_and_last(problem)
    link, kept = np.zeros(problem.n_links), np.zeros(problem.n_links, np.bool_)
    # cells without links are what they are
    null, daughter_error = np.ones(problem.n_daughters), np.zeros(problem.n_daughters)
    disappear, divide, mother_error = np.ones(problem.n_mothers), *np.zeros((2, problem.n_mothers))

    proved: list[Future[Proved]] = [Future() for _ in stretches]

    def find(number: int) -> _Found:
        try:
            return find_in(number, stretches[number])
        except BaseException as error:
            if not proved[number].done():  # or the stretch before would wait for ever
                proved[number].set_exception(error)
            if isinstance(error, EliminationTooLargeError):
                raise _in_a_stretch(error, limit, len(stretches)) from error
            raise

    def find_in(number: int, stretch: Stretch) -> _Found:
        part, never = _cut_out(problem, first, last, stretch, chosen)
        own, null = part.chosen(chosen), gauge.null[part.daughter]
        own[(own >= 0) & never[own]] = -1
        counted = Counted(
            (part.daughter >= stretch.first) & (part.daughter < stretch.last),
            (first[part.mother] >= stretch.first) & (first[part.mother] < stretch.last),
        )

        def floor_of(keep: BoolArray) -> Floor:
            beyond = following if number + 1 == len(stretches) else proved[number + 1].result()
            return beyond.floor(part, keep, null)

        def tell(result: Elimination) -> None:
            inside = part.daughter < stretch.high
            held = null[inside] > CLIPPED  # or it stands for something smaller, and is no unit
            worth = np.ones(held.size)
            worth[held] = result.certificate.worth[inside][held] / null[inside][held]
            proved[number].set_result(Proved(part.daughter[inside], worth, part.link[result.kept.keep]))

        found = marginals_by_clusters(
            part.problem, part.gauge(gauge), own, wanted[part.link], tolerance,
            max(limit * part.daughter.size // max(problem.n_daughters, 1), 1), share,
            CutOut(never, counted, floor_of, tell),
        )  # fmt: skip
        return _own(found, part, counted)

    log_z, converged, margins = gauge.log_scale, True, []
    # from the last one on, since each needs what the next has proved
    for found in in_threads(find, reversed(range(len(stretches)))):
        link[links.link[found.place]], kept[links.link[found.place]] = found.link, found.kept
        null[found.daughter], daughter_error[found.daughter] = found.null, found.daughter_error
        disappear[found.mother], divide[found.mother] = found.disappear, found.divide
        mother_error[found.mother] = found.mother_error
        log_z += found.log_z - gauge.log_scale
        converged &= found.converged
        margins.append((found.margin, found.kept_in_margin))
    if tell is not None:
        tell(proved[0].result())
    give_back_freed_memory()
    place, kept_in_margin = (np.concatenate(column) for column in zip(*margins, strict=True))
    otherwise = place[kept_in_margin != kept[links.link[place]]]
    torn = _torn(problem, kept[links.link], otherwise, first, [stretch.first for stretch in stretches])
    daughter_error[torn[0]], mother_error[torn[1]] = np.inf, np.inf
    bound = float(max(daughter_error.max(initial=0.0), mother_error.max(initial=0.0)))
    exact = bound <= tolerance
    return Marginals(
        link, null, disappear, divide, log_z, 0.0, bound, exact, "exact" if exact else "cluster_bp", converged,
        daughter_error=daughter_error, mother_error=mother_error, kept=kept,
    )  # fmt: skip


def _cut_out(
    problem: AssignmentProblem, first: IntArray, last: IntArray, stretch: Stretch, chosen: IntArray
) -> tuple[Part, BoolArray]:
    """A stretch with its margins, and (F',) links of it that lead outside or belong to a cell that is cut off."""
    links, n = problem.links, problem.n_daughters
    inside = (first >= stretch.low) & (first < stretch.high)
    end = min(int(last[inside].max(initial=stretch.high - 1)) + 1, n)
    places = slice(links.start[stretch.low], links.start[end])
    among = np.zeros(links.mother.size, np.bool_)
    among[places] = (links.daughter[places] < stretch.high) | inside[links.mother[places]]
    part = part_of(problem, among)
    here, own = part.problem.links, part.chosen(chosen)
    never = ~inside[part.mother[here.mother]] | (part.daughter[here.daughter] >= stretch.high)
    by_map = own[own >= 0]
    while True:
        torn = by_map[never[by_map]]
        alone = np.zeros(part.daughter.size, np.bool_)
        without = np.zeros(part.mother.size, np.bool_)
        alone[here.daughter[torn]], without[here.mother[torn]] = True, True
        more = never | alone[here.daughter] | without[here.mother]
        if not (more & ~never).any():
            return part, never
        never = more


def _in_a_stretch(error: EliminationTooLargeError, limit: int, n: int) -> EliminationTooLargeError:
    """The error of a stretch, in terms of the limit that was given for all of them."""
    return EliminationTooLargeError(
        f"memory_limit={limit} bytes are shared by {n} stretches of the movie, and in one of them {error.what}",
        error.advice,
        error.task,
    )


def _own(found: Marginals, part: Part, counted: Counted) -> _Found:
    """What is kept of a stretch."""
    daughter, mother = counted
    at = daughter[part.problem.links.daughter]
    assert found.kept is not None
    return _Found(
        part.link[at], part.daughter[daughter], part.mother[mother], found.link[at], found.kept[at],
        found.null[daughter], found.disappear[mother], found.divide[mother], found.daughter_error[daughter],
        found.mother_error[mother], found.log_z, found.converged, part.link[~at], found.kept[~at],
    )  # fmt: skip


def _torn(
    problem: AssignmentProblem, keep: BoolArray, otherwise: IntArray, first: IntArray, starts: list[int]
) -> tuple[BoolArray, BoolArray]:
    """(N,) and (M,) bool, cells of components of the kept links (F,) that lie in two stretches which disagree.

    Whoever sums over such a component (draws do) sums over links that no stretch has proved to be enough. `otherwise`
    are the places of links of which another stretch than their own does not do the same.
    """
    links = problem.links
    of_daughter, of_mother, n = components_of(problem, keep)
    torn = np.zeros(n + 1, np.bool_)
    torn[of_daughter[links.daughter[otherwise]]] = True
    torn[of_mother[links.mother[otherwise]]] = True
    lowest, highest = np.full(n + 1, len(starts)), np.full(n + 1, -1)
    for component, cell in ((of_daughter, np.arange(problem.n_daughters)), (of_mother, first)):
        owner = np.searchsorted(starts, cell, side="right")
        np.minimum.at(lowest, component, owner)
        np.maximum.at(highest, component, owner)
    torn &= lowest < highest
    torn[-1] = False  # cells without kept links
    return torn[of_daughter], torn[of_mother]
