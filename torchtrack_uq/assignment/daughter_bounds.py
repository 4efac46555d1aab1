"""A proved lower bound on what each daughter is worth, D_j = Z / Z without j, whatever links were dropped.

Steps (a) and (b) of the theorem in docs/assignment.md. Each refers to the bounds of other daughters, so a guess of all
of them is confirmed, or lowered where it is not. Only components that a lowered guess touches are looked at again.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.dropped_links import weigh_uses, worth_of_own_mothers
from torchtrack_uq.assignment.kernels.path_tangents import mass_tangents
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, KeptGraph, by_components
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

SLACK = 0.1  # power of what is lost, by which a guess of D is lower than what the guess before gave
TINY = 1e-9  # so that a guess of D itself is confirmed
SMALL = 0.1  # log of the use of dropped links up to which nobody asks which mothers are near
ROUNDS = 1000  # after which daughters whose guess is not confirmed are given up, so that the others can be
MOST_ROUNDS = 1500  # after which all are


class Dropped(NamedTuple):
    """Dropped links (S,), the components of their ends, and whether they are kept elsewhere."""

    mother: IntArray
    daughter: IntArray
    of_mother: IntArray
    of_daughter: IntArray
    link: FloatArray
    kept_elsewhere: BoolArray


class Floor(NamedTuple):
    """What is proved of D from elsewhere, of a problem that is a part of another.

    Attributes:
        worth: (N,) float64, lower bound of D; at least the null weight.
        kept: (F,) bool, links that were kept there, so that the bound does not hold without them.
    """

    worth: FloatArray
    kept: BoolArray


class Known(NamedTuple):
    """What is known of the kept links before anything is proved.

    Attributes:
        kept: Frontier graphs.
        gauge: Weights.
        weight: (F + N + 3 M,) weights of all factors, dropped links moved into null.
        room: (M,) largest room r of each mother.
        within: (N,) D_j of the kept links alone.
        daughter_component: (N,) component of each daughter.
        lost: (K,) what was left out of each component.
        floor: What is proved of D elsewhere.
    """

    kept: KeptGraph
    gauge: Gauge
    weight: FloatArray
    room: FloatArray
    within: FloatArray
    daughter_component: IntArray
    lost: FloatArray
    floor: Floor


def bound_daughters(problem: AssignmentProblem, known: Known, dropped: Dropped) -> FloatArray:
    """(N,) float64, lower bound of D of each daughter; at least her floor, which always holds."""
    floor, within = known.floor.worth, known.within
    bounds = _Bounds(problem, known, dropped)
    wanted = np.ones(known.lost.size, np.bool_)
    guess = np.where(within > floor, within, floor)
    ratio = bounds.follow(guess, wanted)
    wrong = np.ones(floor.size, np.bool_)
    for round_ in range(MOST_ROUNDS):
        at = np.flatnonzero(wrong)
        if round_ < ROUNDS:
            with np.errstate(invalid="ignore", divide="ignore"):
                lower = ratio[at] * (ratio[at] / within[at]) ** SLACK * (1.0 - TINY)
            guess[at] = np.minimum(np.fmax(lower, floor[at]), guess[at])
        else:
            guess[at] = floor[at]
        wanted[:] = False
        wanted[known.daughter_component[at]] = True
        wanted[dropped.of_mother[wrong[dropped.daughter]]] = True
        ratio = bounds.follow(guess, wanted)
        wrong = wanted[known.daughter_component] & ~((ratio > guess) | (guess <= floor))
        if not wrong.any():
            return ratio
    return floor


class _Bounds:
    """What follows for D from a guess of it, remembered where the guess does not change."""

    def __init__(self, problem: AssignmentProblem, known: Known, dropped: Dropped) -> None:
        self.problem, self.known, self.dropped = problem, known, dropped
        self._used, self._inside = np.zeros((2, known.lost.size))
        self._across, self._at_mother = np.zeros((2, problem.n_mothers))
        self._ratio = known.floor.worth.copy()
        # changes of the logarithms of weights, 0 between two calls, and where sums are made: pages once touched stay
        self._direction, mass, mass_tangent, change = np.zeros((4, known.weight.size))
        self._room = mass, mass_tangent, change

    def follow(self, guess: FloatArray, wanted: BoolArray) -> FloatArray:
        """(N,) bound of D that follows from `guess` (N,), made anew in the `wanted` components (K,)."""
        known, problem = self.known, self.problem
        dropped = self.dropped
        weigh_uses(
            dropped.mother, dropped.daughter, dropped.of_mother, dropped.of_daughter, dropped.link, known.room, guess,
            dropped.kept_elsewhere, known.floor.worth, wanted, self._used, self._inside, self._across, self._at_mother,
        )  # fmt: skip
        at = np.flatnonzero(wanted[known.daughter_component])
        of, within, floor = known.daughter_component[at], known.within[at], known.floor.worth[at]
        use = self._used[of]
        far = wanted & (self._used >= SMALL)
        if far.any():
            # without a daughter, only the mothers near her have more room
            near = self._use_without(far)[at] + self._inside[of]
            use = np.where(far[of], np.minimum(use, near), use)
        with np.errstate(invalid="ignore"):
            sure = np.exp(-use) - known.lost[of]
            found = np.multiply(within, sure, where=sure > 0.0, out=np.zeros_like(within))
        if far.any():
            links = problem.links
            by_mothers = np.zeros(problem.n_daughters)
            worth_of_own_mothers(
                links.start, links.mother, links.mother_start, links.by_mother, links.daughter, known.kept.keep,
                known.gauge.link, known.gauge.null, known.room, self._at_mother, guess,
                known.daughter_component, far, by_mothers,
            )  # fmt: skip
            found = np.fmax(found, np.minimum(by_mothers[at], within))
        self._ratio[at] = np.fmax(found, floor)
        return self._ratio

    def _use_without(self, wanted: BoolArray) -> FloatArray:
        """(N,) sum over the mothers k of each daughter's component of w / D times R_k without the daughter.

        It is the derivative of log Z(C - j) as the mothers' rooms are weighed into it, so one pass finds it for all j.
        """
        known, used = self.known, self._across
        graph, plan, load = known.kept.graph, known.kept.plan, known.gauge.load
        n_linked = plan.width.size
        counted = plan.mother_component >= 0
        counted[counted] = wanted[plan.mother_component[counted]]
        counted &= used > 0.0
        n_links, n = known.gauge.link.size, known.gauge.null.size
        loads = self._direction[n_links + n :].reshape(load.shape)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for units in (0, 1):
                here = counted & (load[:, units] > 0.0)
                loads[here, units] = used[here] * load[here, units + 1] / load[here, units]
        mass, _, change = self._room
        log_z_tangent = np.zeros(n_linked)

        def follow_range(begin: int, end: int) -> None:
            mass_tangents(
                graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer, known.weight,
                self._direction, wanted, begin, end, *self._room, log_z_tangent,
            )  # fmt: skip

        by_components(graph, wanted[:n_linked], follow_range)
        loads[counted] = 0.0
        at = np.flatnonzero(plan.daughter_component >= 0)
        component = plan.daughter_component[at]
        at, component = at[wanted[component]], component[wanted[component]]
        # only of the wanted components: elsewhere these hold what an earlier call left
        null, without, changed = (values[n_links + at] for values in (known.weight, mass, change))
        found = np.zeros(n)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found[at] = changed / without + log_z_tangent[component]
            # states left out: at most `lost` of paths through null of j, of Z(C - j) at least `without`
            most = np.bincount(plan.mother_component[counted], (used * known.room)[counted], n_linked)
            missing = left_out(known.lost[component], null, without)
            found[at] += np.where(missing > 0.0, most[component] * missing, 0.0)
        found[~(found >= 0.0)] = np.inf
        return found


def left_out(lost: FloatArray, null: FloatArray, total: FloatArray) -> FloatArray:
    """Bound of the paths without a daughter that were left out, as a share of their `total`; all three of hers."""
    return np.where(lost > 0.0, lost / (null * total), 0.0)
