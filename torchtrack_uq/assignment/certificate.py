"""A proved bound on what dropping links changes; the proof is in docs/assignment.md.

Notation: C is a component of the kept links, w a link's weight, g(n) a mother's weight with n daughters,
r = g(1) / g(0) its largest possible ratio, R_k(H) = Z(H with one more unit at mother k) / Z(H), and
D_j(H) = Z(H) / Z(H without j), all in the gauge of `pruned`. For mothers with g(0) g(2) <= g(1)^2:

1. Removing daughters makes the loads of all mothers stochastically smaller: R_k and the other daughters' D rise.
2. R_k(G without j) <= R1, what the kept links give without j when every dropped link (i, j') is moved into the
   null weight of j' as w r_i. It also holds without further daughters outside k's component.
3. P(link e = (k, j) is used) = x / (1 + x) with x = w R_k(G without j) / D_j(G without e).
4. D_j(G) >= D_j(C) times the product over the dropped links at mothers of C of 1 / (1 + x), which bounds the
   probability, without j, that none of them is used. Also D_j(G) >= null + sum of w r_i P(nobody else is at mother i)
   over the mothers i of j's kept links, without j. Both hold, and so do bounds that follow from them, for G with
   less weight on dropped links as well (`daughter_bounds`).
5. Given that no dropped link touching C is used, C is distributed as if it were alone. So every marginal of C
   differs from that of C alone by at most eps_C, the sum of P(e) over the dropped links that touch C.

States that the elimination leaves out as negligible take at most their weight `lost` (the MAP has weight 1)
from the product of step 4, and add it to eps and, relative to it, to R1 and 1 / D. Step 4 refers to itself; a guess of
all D that is confirmed with room to spare holds, by continuity in the dropped weights. Where no guess is confirmed,
D is at least the null weight.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.daughter_bounds import Dropped, Floor, Known, bound_daughters, left_out
from torchtrack_uq.assignment.kernels.dropped_links import sum_touching
from torchtrack_uq.assignment.kernels.sum_product import room_without
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    Gauge,
    KeptGraph,
    Sums,
    all_components,
    first_place_ratio,
    null_with_dropped,
    sum_kept,
)
from torchtrack_uq.assignment.types import FloatArray, IntArray


class Marginal(NamedTuple):
    """Marginals of all choices: links (F,), null (N,), mothers without daughter (M,), with two (M,)."""

    link: FloatArray
    null: FloatArray
    disappear: FloatArray
    divide: FloatArray


class Certificate(NamedTuple):
    """Bounds on the marginals of the whole problem from those of its kept links.

    Attributes:
        alone: marginals of the kept links alone; 0 on dropped links.
        component_error: (K,) float64, bound eps_C on their error per component; inf if none could be
            proved.
        daughter_component: (N,) int64, component of each daughter; daughters without kept links have their
            own.
        mother_component: (M,) int64, likewise.
        dropped: (S,) int64, places of the dropped links.
        dropped_high: (S,) float64, upper bound of the probability of each dropped link.
        worth: (N,) float64, lower bound of D of each daughter.
        log_z_low: lower bound of log Z in the gauge.
        log_z_high: upper bound.
        lost: bound on the mass of the assignments of kept links that elimination left out as negligible.
    """

    alone: Marginal
    component_error: FloatArray
    daughter_component: IntArray
    mother_component: IntArray
    dropped: IntArray
    dropped_high: FloatArray
    worth: FloatArray
    log_z_low: float
    log_z_high: float
    lost: float


def marginals_alone(gauge: Gauge, kept: KeptGraph, sums: Sums) -> Marginal:
    """Marginals of the kept links alone."""
    link = np.where(kept.keep, gauge.link * sums.link, 0.0)
    disappear, divide = (gauge.load[:, n] * sums.load[:, n] for n in (0, 2))
    return Marginal(link, gauge.null * sums.null, disappear, divide)


def certify(
    problem: AssignmentProblem,
    kept: KeptGraph,
    gauge: Gauge,
    sums: Sums,
    trivial: FloatArray | None = None,
    floor: Floor | None = None,
) -> Certificate:
    """Bound the error of the kept links' marginals; every mother needs g(0) g(2) <= g(1)^2.

    Links dropped inside a component with odds of at most `trivial` (F,) are bounded as if their mother were
    free; by default none are. A `floor` says what is proved of D from elsewhere.
    """
    links = problem.links
    daughter_component, mother_component, n_components = all_components(
        kept.plan.daughter_component, kept.plan.mother_component, kept.plan.width.size
    )
    lost = np.zeros(n_components)
    # NaN where a mother must have a daughter, whose room has no bound: nothing is proved of that component
    lost[: kept.graph.lost.size] = np.nan_to_num(kept.graph.lost, nan=np.inf)
    dropped = np.flatnonzero(~kept.keep)
    alone = marginals_alone(gauge, kept, sums)
    mother, daughter = links.mother[dropped], links.daughter[dropped]
    of_mother, of_daughter = mother_component[mother], daughter_component[daughter]
    inside = of_mother == of_daughter
    room_if_free = first_place_ratio(gauge)
    room, link = room_if_free[mother], gauge.link[dropped]
    if_free = link * room
    null = null_with_dropped(links.mother, links.daughter, gauge.link, gauge.null, room_if_free, kept.keep)
    weight = gauge._replace(null=null).factors
    upper = sum_kept(problem, kept, gauge.link, null, gauge.load) if dropped.size else sums
    with np.errstate(invalid="ignore"):
        ratio_mother = upper.ratio_mother[mother] + np.where(
            lost[of_mother] > 0.0, room * lost[of_mother], 0.0
        )
    ratio_mother[inside] = room[inside]
    # no bound on the room of a mother times an impossible null: not worth it
    with np.errstate(invalid="ignore", over="ignore"):
        matters = if_free * sums.null[daughter] > (0.0 if trivial is None else trivial[dropped])
    tight = np.flatnonzero(inside & matters)
    tight = tight[np.lexsort((daughter[tight], of_daughter[tight]))]
    ratio_mother[tight] = _room_inside(
        problem, kept, weight, daughter[tight], mother[tight], of_mother[tight], room[tight], lost
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        # paths left out through null of j weigh at most lost; without the weight of null, lost / null
        within = 1.0 / (sums.null + np.where(lost > 0.0, lost, 0.0)[daughter_component] / null)
        within[np.isnan(within)] = (1.0 / sums.null)[np.isnan(within)]
    floor = Floor(gauge.null, np.zeros(links.mother.size, np.bool_)) if floor is None else floor
    known = Known(kept, gauge, weight, room_if_free, within, daughter_component, lost, floor)
    kept_elsewhere = floor.kept[dropped]
    worth = bound_daughters(
        problem, known, Dropped(mother, daughter, of_mother, of_daughter, link, kept_elsewhere)
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        high = 1.0 / (1.0 + worth[daughter] / (link * ratio_mother))
        # where D is a bound with the link only, w R / D is its probability, not its odds
        of_all = np.minimum(link * ratio_mother / floor.worth[daughter], 1.0)
        high[kept_elsewhere] = of_all[kept_elsewhere]
        high[np.isnan(high)] = 1.0
    high[link == 0.0] = 0.0
    error = sum_touching(of_mother, of_daughter, high, n_components) + lost
    error[~(error < 1.0)] = np.inf
    log_z_high = max(sums.log_z, upper.log_z) + float(lost.sum())
    return Certificate(
        alone,
        error,
        daughter_component,
        mother_component,
        dropped,
        high,
        worth,
        sums.log_z,
        log_z_high,
        float(lost.sum()),
    )


def _room_inside(
    problem: AssignmentProblem,
    kept: KeptGraph,
    weight: FloatArray,
    daughter: IntArray,
    mother: IntArray,
    component: IntArray,
    room: FloatArray,
    lost: FloatArray,
) -> FloatArray:
    """Bound on R of each mother without the daughter to which it lost a link inside a component."""
    graph, plan = kept.graph, kept.plan
    null_factor = problem.links.mother.size
    ratio, total = room_without(
        graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer, weight,
        plan.step, plan.step_start, null_factor, null_factor + problem.n_daughters, component, daughter, mother,
    )  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        missing = left_out(lost[component], weight[null_factor + daughter], total)
        bound = ratio + room * missing
    return np.where(bound <= room, bound, room)
