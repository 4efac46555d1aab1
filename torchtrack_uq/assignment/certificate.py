"""A proved bound on what dropping links changes; the proof is in docs/assignment.md.

Notation: C is a component of the kept links, w a link's weight, g(n) a mother's weight with n daughters,
r = g(1) / g(0) its largest possible ratio, R_k(H) = Z(H with one more unit at mother k) / Z(H), and
D_j(H) = Z(H) / Z(H without j), all in the gauge of `pruned`. For mothers with g(0) g(2) <= g(1)^2:

1. Removing daughters makes the loads of all mothers stochastically smaller: R_k and the other daughters' D rise.
2. R_k(G without j) <= R1, what the kept links give without j when every dropped link (i, j') is moved into the
   null weight of j' as w r_i. It also holds without further daughters outside k's component.
3. P(link e = (k, j) is used) = w R_k(G without j) / D_j(G).
4. D_j(G) >= D_j(C) (1 - eta_j); eta_j bounds the probability, without j, that a dropped link at a mother of C is used.
   Also D_j(G) >= null + sum of w r_i P(nobody else is at mother i) over the mothers i of j, without j.
5. Given that no dropped link touching C is used, C is distributed as if it were alone. So every marginal of C
   differs from that of C alone by at most eps_C, the sum of P(e) over the dropped links that touch C.

States that the elimination leaves out as negligible add at most their weight `lost` (the MAP has weight 1)
to eta and eps and, relative to it, to R1 and 1 / D. Step 4 refers to itself; a guess of all D that is
confirmed with room to spare holds, by continuity in the dropped weights. Where no guess is confirmed, D is at
least the null weight.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.path_tangents import mass_tangents
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
from torchtrack_uq.utils.kernel import kernel

SLACK = 0.1  # power of what is lost, by which a guess of D is lower than what the guess before gave
TINY = 1e-9  # so that a guess of D itself is confirmed
SMALL = 0.1  # share that may be lost without a look at which mothers are near
ROUNDS = 12  # after which daughters whose guess is not confirmed are given up, so that the others can be
MOST_ROUNDS = 15  # after which all are


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
    log_z_low: float
    log_z_high: float
    lost: float


@kernel
def sum_touching(
    of_mother: IntArray,
    of_daughter: IntArray,
    at_mother: FloatArray,
    at_daughter: FloatArray,
    daughter: IntArray,
    ratio: FloatArray,
    n_components: int,
) -> FloatArray:
    """Sums per component over the dropped links that touch it, at either end, each over `ratio[daughter]`."""
    total = np.zeros(n_components)
    for s in range(daughter.size):
        total[of_mother[s]] += at_mother[s] / ratio[daughter[s]]
        if of_daughter[s] != of_mother[s]:
            total[of_daughter[s]] += at_daughter[s] / ratio[daughter[s]]
    return total


def daughter_ratio(sums: Sums) -> FloatArray:
    """(N,) D_j = Z / Z(without j) within j's component; inf where the rest has no assignment without j."""
    with np.errstate(divide="ignore"):
        return 1.0 / sums.null


def marginals_alone(gauge: Gauge, kept: KeptGraph, sums: Sums) -> Marginal:
    """Marginals of the kept links alone."""
    link = np.where(kept.keep, gauge.link * sums.link, 0.0)
    disappear, divide = (gauge.load[:, n] * sums.load[:, n] for n in (0, 2))
    return Marginal(link, gauge.null * sums.null, disappear, divide)


def certify(
    problem: AssignmentProblem, kept: KeptGraph, gauge: Gauge, sums: Sums, trivial: FloatArray | None = None
) -> Certificate:
    """Bound the error of the kept links' marginals; every mother needs g(0) g(2) <= g(1)^2.

    Links dropped inside a component with odds of at most `trivial` (F,) are bounded as if their mother were
    free; by default none are.
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
    room = room_if_free[mother]
    if_free = gauge.link[dropped] * room
    null = null_with_dropped(links.mother, links.daughter, gauge.link, gauge.null, room_if_free, kept.keep)
    upper = sum_kept(problem, kept, gauge.link, null, gauge.load) if dropped.size else sums
    with np.errstate(invalid="ignore"):
        ratio_mother = upper.ratio_mother[mother] + np.where(
            lost[of_mother] > 0.0, room * lost[of_mother], 0.0
        )
    ratio_mother[inside] = room[inside]
    with np.errstate(
        invalid="ignore"
    ):  # no bound on the room of a mother times an impossible null: not worth it
        worth = if_free * sums.null[daughter] > (0.0 if trivial is None else trivial[dropped])
    tight = np.flatnonzero(inside & worth)
    tight = tight[np.lexsort((daughter[tight], of_daughter[tight]))]
    ratio_mother[tight] = _room_inside(
        problem, kept, np.concatenate([gauge.link, null, gauge.load.ravel()]), daughter[tight], mother[tight],
        of_mother[tight], room[tight], lost,
    )  # fmt: skip
    usual = gauge.link[dropped] * ratio_mother
    with np.errstate(divide="ignore", invalid="ignore"):
        # paths left out through null of j weigh at most lost; without the weight of null, lost / null
        within = 1.0 / (sums.null + np.where(lost > 0.0, lost, 0.0)[daughter_component] / null)
        within[np.isnan(within)] = (1.0 / sums.null)[np.isnan(within)]

    def lower_bound(ratio: FloatArray) -> FloatArray:
        """(N,) bound of D_j that follows from one for all daughters."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            free = _or_inf(if_free / ratio[daughter])
            across = _or_inf(np.where(inside, 0.0, gauge.link[dropped] / ratio[daughter]))
        # links that take a daughter of the component away only make room in it
        used = (np.bincount(of_mother, free, n_components) + lost)[daughter_component]
        if (used < SMALL).all():
            return np.maximum(within * (1.0 - used), gauge.null)
        # large components: without a daughter, only the mothers near her have more room
        rest = np.bincount(of_mother[inside], free[inside], n_components) + lost
        of_links: FloatArray = np.bincount(mother, across, problem.n_mothers).astype(np.float64)
        near = _use_without(kept, gauge, null, of_links, room_if_free, lost)
        sure = 1.0 - np.minimum(np.minimum(used, near + rest[daughter_component]), 1.0)
        by_component = np.multiply(within, sure, where=sure > 0.0, out=np.zeros_like(within))
        by_mothers = np.minimum(_by_own_mothers(problem, gauge, room_if_free, ratio), within)
        return np.maximum(np.fmax(by_component, by_mothers), gauge.null)

    ratio, guess = lower_bound(within), np.where(within > gauge.null, within, gauge.null)
    wrong = np.ones(problem.n_daughters, dtype=bool)
    for round_ in range(MOST_ROUNDS):
        with np.errstate(invalid="ignore", divide="ignore"):
            lower = ratio * (ratio / within) ** SLACK * (1.0 - TINY) if round_ < ROUNDS else gauge.null
        guess = np.where(wrong, np.minimum(np.fmax(lower, gauge.null), guess), guess)
        ratio = lower_bound(guess)
        wrong = ~((ratio > guess) | (guess <= gauge.null))
        if not wrong.any():
            break
    else:
        ratio = gauge.null
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # 0 / 0 proves nothing, and a probability is at most 1
        high = np.fmin(usual / ratio[daughter], 1.0)
    one = np.ones(problem.n_daughters)
    error = sum_touching(of_mother, of_daughter, high, high, daughter, one, n_components) + lost
    error[~(error < 1.0)] = np.inf
    log_z_high = max(sums.log_z, upper.log_z) + float(lost.sum())
    return Certificate(
        alone,
        error,
        daughter_component,
        mother_component,
        dropped,
        high,
        sums.log_z,
        log_z_high,
        float(lost.sum()),
    )


def _or_inf(bound: FloatArray) -> FloatArray:
    """0 / 0 bounds nothing."""
    bound[np.isnan(bound)] = np.inf
    return bound


def _by_own_mothers(
    problem: AssignmentProblem, gauge: Gauge, room_if_free: FloatArray, ratio: FloatArray
) -> FloatArray:
    """(N,) bound of D_j from her mothers alone: that nobody else is there, as often as `ratio` (N,) proves."""
    links = problem.links
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        there = np.minimum(_or_inf(gauge.link * room_if_free[links.mother] / ratio[links.daughter]), 1.0)
        others = np.bincount(links.mother, there, problem.n_mothers)[links.mother] - there
        worth = gauge.link * room_if_free[links.mother] * np.maximum(1.0 - others, 0.0)
    worth[~np.isfinite(worth)] = 0.0
    found: FloatArray = gauge.null + np.bincount(links.daughter, worth, problem.n_daughters)
    return found


def _use_without(
    kept: KeptGraph,
    gauge: Gauge,
    null: FloatArray,
    used: FloatArray,
    room_if_free: FloatArray,
    lost: FloatArray,
) -> FloatArray:
    """(N,) sum over the mothers k of each daughter's component of `used` (M,) times R_k without the daughter.

    It is the derivative of log Z(C - j) as the mothers' rooms are weighed into it, so one pass finds it for all j.
    """
    graph, plan = kept.graph, kept.plan
    counted = (used > 0.0) & (plan.mother_component >= 0)
    direction = np.zeros_like(gauge.load)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for n in (0, 1):
            here = counted & (gauge.load[:, n] > 0.0)
            direction[here, n] = used[here] * gauge.load[here, n + 1] / gauge.load[here, n]
    n_links = len(gauge.link)
    mass, change, log_z_tangent = mass_tangents(
        graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer,
        np.concatenate([gauge.link, null, gauge.load.ravel()]),
        np.concatenate([np.zeros(n_links + len(null)), direction.ravel()]),
    )  # fmt: skip
    without, change = mass[n_links : n_links + len(null)], change[n_links : n_links + len(null)]
    linked = plan.daughter_component >= 0
    component = plan.daughter_component[linked]
    found = np.zeros(len(null))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found[linked] = change[linked] / without[linked] + log_z_tangent[component]
        # states left out: at most `lost` of paths through null of j, of Z(C - j) at least `without`
        most = np.bincount(plan.mother_component[counted], (used * room_if_free)[counted], len(log_z_tangent))
        missing = np.where(lost[component] > 0.0, lost[component] / (null[linked] * without[linked]), 0.0)
        found[linked] += np.where(missing > 0.0, most[component] * missing, 0.0)
    found[~(found >= 0.0)] = np.inf
    return found


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
        missing = np.where(
            lost[component] > 0.0, lost[component] / (weight[null_factor + daughter] * total), 0.0
        )
        bound = ratio + room * missing
    return np.where(bound <= room, bound, room)
