"""Which links to drop before elimination, what that leaves to sum, and which to take back."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.certificate import (
    Certificate,
    Marginal,
    certify,
    marginals_alone,
)
from torchtrack_uq.assignment.gap_model import GapModel
from torchtrack_uq.assignment.kernels.min_marginals import distance_from_hub
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    Gauge,
    KeptGraph,
    Share,
    Sums,
    all_components,
    build_kept_graph,
    components_of,
    room_if_empty,
    sum_kept,
)
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

BYTES_PER_ARC = 40  # arcs, nodes and sums of the frontier graphs
NEGLIGIBLE = 1e-5  # weight, as a share of the tolerance, below which a state of the elimination is left out
WANTED = 10.0  # a link is dropped at first if it is wanted (`odds_if_free`) at most this many tolerances
TRIVIAL = 5e-2  # odds, as a share of the tolerance, below which links inside components need no closer look
INSIDE_SHARE = 0.03  # sum of these odds up to which links are dropped inside a component
AIM = (
    0.95  # share of the tolerance that dropped links may take; what putting them back changes takes the rest
)
TAKE = 0.95  # share of that which stays dropped at a component that gets links back
INSIGNIFICANT = 1e-2  # share of the tolerance that all least likely links together may take
REFINEMENTS = 30
FEW_REFINEMENTS = 6  # where components run along time, what has not settled by then spreads through the movie
PROVABLE = 1.0  # level up to which a proof is sought: beyond it, dropped links are likelier than not
FLOOR = 1e-12  # least share of what it deserves that a dropped link gets, so that no candidate is impossible
ROUNDING = 1e-9  # share of the tolerance left free, since sums that reach it are rounded
LOG_LARGE = 600.0  # log of the odds beyond which they grow with their logarithm only


class Elimination(NamedTuple):
    """A summed frame pair: kept links, their sums and what is proved about the rest."""

    gauge: Gauge
    kept: KeptGraph
    sums: Sums
    certificate: Certificate


def odds_if_free(problem: AssignmentProblem, model: GapModel, gauge: Gauge, temperature: float) -> FloatArray:
    """(F,) estimate of the odds with which each daughter would choose each mother if that were free.

    Without the daughter the MAP improves by what its place is worth to others: the distance from the hub.
    """
    links, solution = problem.links, model.solution
    worth = distance_from_hub(
        links.start, links.mother, links.daughter, model.link, model.slot, links.mother_start,
        links.by_mother, solution.price, solution.chosen, solution.load, solution.held, np.inf,
    )  # fmt: skip
    linked = solution.chosen >= 0
    own = np.zeros(problem.n_daughters)
    own[linked] = worth[links.mother[solution.chosen[linked]]]
    room = room_if_empty(gauge)[links.mother]
    with np.errstate(over="ignore", invalid="ignore"):
        odds = gauge.link * room * np.exp(-own / temperature)[links.daughter]
    if not np.isfinite(odds).all():
        odds = _odds_beyond_float(gauge.link, room, -own[links.daughter] / temperature)
    return odds


def _odds_beyond_float(link: FloatArray, room: FloatArray, log_worth: FloatArray) -> FloatArray:
    """The same at low temperatures: finite and in the right order; inf at mothers that need a daughter."""
    must = np.isinf(room)
    log_odds = np.log(link) + np.log(np.where(must, 1.0, room)) + log_worth
    beyond = np.maximum(log_odds - LOG_LARGE, 0.0)
    squeezed = np.exp(np.minimum(log_odds, LOG_LARGE) + np.log1p(beyond))
    return np.where(must, np.inf, squeezed)


def drop_and_sum(
    problem: AssignmentProblem,
    gauge: Gauge,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
    memory_limit: int,
    level: FloatArray | None = None,
    share: Share | None = None,
    among: BoolArray | None = None,
) -> Elimination | KeptGraph:
    """Drop what is wanted least, sum the rest, and bound what that changed; only the graph if that does not fit.

    `level` (F,) is the tolerance by which links are dropped, if that differs between them; where it is
    above `tolerance`, bounds are made with less effort. No component may take more than a `share` of the graphs.
    Only the graph of the kept ones `among` (F,) some links is made if these are given.
    """
    level = np.full(wanted.size, tolerance) if level is None else level
    keep = _choose_kept(problem, chosen, wanted, level)
    part = keep if among is None else keep & among
    kept = build_kept_graph(
        problem, part, gauge, memory_limit // BYTES_PER_ARC, NEGLIGIBLE * tolerance, share=share
    )
    if among is not None or not kept.graph.complete.all():
        return kept
    sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    trivial = np.where(level > tolerance, np.inf, TRIVIAL * tolerance)
    return Elimination(gauge, kept, sums, certify(problem, kept, gauge, sums, trivial))


def _choose_kept(
    problem: AssignmentProblem, chosen: IntArray, wanted: FloatArray, level: FloatArray
) -> BoolArray:
    """Links to keep before anything is proved: the MAP's and those wanted much.

    A dropped link is used only if its mother happens to be free, so it may be wanted a few times the
    tolerance. Inside a component the dropped ones together must stay well below 1 for the proof to get off
    the ground.
    """
    links = problem.links
    keep = ~(wanted <= WANTED * level)
    keep[chosen[chosen >= 0]] = True
    of_daughter, of_mother, _ = components_of(problem, keep)
    component = of_mother[links.mother]
    provable = level <= PROVABLE
    inside = np.flatnonzero(~keep & provable & (component >= 0) & (component == of_daughter[links.daughter]))
    together = np.bincount(component[inside], wanted[inside])
    inside = inside[together[component[inside]] > INSIDE_SHARE]  # few components: only they need sorting
    order = inside[np.lexsort((wanted[inside], component[inside]))]
    total = np.cumsum(wanted[order])
    first = np.concatenate([[True], np.diff(component[order]) > 0]) if order.size else np.zeros(0, dtype=bool)
    before = np.maximum.accumulate(np.where(first, total - wanted[order], 0.0))
    keep[order[total - before > INSIDE_SHARE]] = True
    return keep


def take_back(
    problem: AssignmentProblem,
    result: Elimination,
    tolerance: float,
    memory_limit: int,
    may_return: BoolArray | None = None,
    share: Share | None = None,
) -> Elimination | KeptGraph | None:
    """Keep more links where the proved probabilities of dropped ones exceed the tolerance.

    Bounds of probabilities in the whole problem hold whatever is kept, so only the components that change
    are summed again, and their new bound is the sum over the links that still touch them. With `may_return`
    (F,) only those links are taken back, and components that would need others, have not settled after some rounds, or
    do not fit (each into its `share`), keep the links and the bound they have. Without, None if any has not settled,
    and only the graph if what changes does not fit.
    """
    certificate = result.certificate
    if (certificate.component_error <= AIM * tolerance).all():
        return result
    high = np.zeros(problem.links.mother.size)
    high[certificate.dropped] = certificate.dropped_high
    # the least likely dropped links count at every component, which costs next to nothing
    matters = high > INSIGNIFICANT * tolerance / max(certificate.dropped.size, 1)
    rest = float(high[~matters].sum())
    growing = _Growing(problem, result.kept, high, matters, rest)
    for _ in range(REFINEMENTS if share is None else FEW_REFINEMENTS):
        if not growing.grow(tolerance, may_return):
            break
    else:
        if may_return is None:
            return None
    excess = growing.per_component > AIM * tolerance
    while True:
        growing.give_back(result.kept.keep, excess)
        part, changed = growing.part_that_changed(result.kept.keep)
        most = memory_limit // BYTES_PER_ARC
        again = build_kept_graph(problem, part, result.gauge, most, NEGLIGIBLE * tolerance, share=share)
        if again.graph.complete.all():
            return _merged(problem, result, growing, again, part, changed)
        if may_return is None:
            return again
        of = growing.components()[1]
        excess = np.zeros(growing.per_component.size, dtype=bool)
        linked = np.flatnonzero(again.plan.mother_component >= 0)
        excess[of[linked]] = ~again.graph.complete[again.plan.mother_component[linked]]


class _Growing:
    """Kept links that grow where too much is dropped, and what dropped links sum to at each of their components."""

    def __init__(
        self, problem: AssignmentProblem, kept: KeptGraph, high: FloatArray, matters: BoolArray, rest: float
    ) -> None:
        self.problem, self.keep = problem, kept.keep.copy()
        self.labels = kept.plan.daughter_component, kept.plan.mother_component, kept.plan.width.size
        self.high, self._matters, self._rest = high, matters, rest
        self._sum_up()

    def components(self) -> tuple[IntArray, IntArray, int]:
        """By daughter, by mother, and their number; cells without kept links have their own."""
        return all_components(*self.labels)

    def _sum_up(self) -> None:
        links = self.problem.links
        daughter_component, mother_component, n_components = self.components()
        dropped = np.flatnonzero(~self.keep & self._matters)
        of_mother = mother_component[links.mother[dropped]]
        of_daughter = daughter_component[links.daughter[dropped]]
        across = of_daughter != of_mother
        total = np.full(n_components, self._rest)
        total += np.bincount(of_mother, self.high[dropped], minlength=n_components)
        total += np.bincount(of_daughter[across], self.high[dropped[across]], minlength=n_components)
        self.per_component: FloatArray = total
        self._ends = np.concatenate([of_mother, of_daughter[across]])
        self._link = np.concatenate([dropped, dropped[across]])

    def grow(self, tolerance: float, may_return: BoolArray | None) -> bool:
        """Take the likeliest links back at components where dropped ones exceed the tolerance; whether there are any."""
        excess = self.per_component > AIM * tolerance
        wrong = excess[self._ends]
        if may_return is not None:
            wrong &= may_return[self._link]
        if not wrong.any():
            return False
        link, ends = self._link[wrong], self._ends[wrong]
        order = np.lexsort((self.high[link], ends))
        total = np.cumsum(self.high[link[order]])
        first = np.concatenate([[True], np.diff(ends[order]) > 0])
        before = np.maximum.accumulate(np.where(first, total - self.high[link[order]], 0.0))
        self.keep[link[order[total - before > TAKE * AIM * tolerance]]] = True
        self._label()
        return True

    def give_back(self, keep: BoolArray, components: BoolArray) -> None:
        """Keep what was kept at first (F,) in some components (K,)."""
        if components.any():
            of_mother = self.components()[1]
            self.keep &= keep | ~components[of_mother[self.problem.links.mother]]
            self._label()

    def _label(self) -> None:
        self.labels = components_of(self.problem, self.keep)
        self._sum_up()

    def part_that_changed(self, keep: BoolArray) -> tuple[BoolArray, BoolArray]:
        """(F,) kept links of the components that have others than at first, and (K,) which these are."""
        _, of_mother, n_components = self.components()
        changed = np.zeros(n_components, dtype=bool)
        changed[of_mother[self.problem.links.mother[self.keep & ~keep]]] = True
        return self.keep & changed[of_mother[self.problem.links.mother]], changed


def _merged(
    problem: AssignmentProblem,
    result: Elimination,
    grown: _Growing,
    again: KeptGraph,
    part: BoolArray,
    changed: BoolArray,
) -> Elimination:
    """The result with the components that changed summed anew."""
    gauge, kept, sums, certificate = result
    keep, labels = grown.keep, grown.labels
    daughter_component, mother_component, n_components = grown.components()
    new = sum_kept(problem, again, gauge.link, gauge.null, gauge.load)
    at_daughter, at_mother = changed[daughter_component], changed[mother_component]
    fresh = marginals_alone(gauge, again, new)
    alone = Marginal(
        np.where(part, fresh.link, np.where(keep, certificate.alone.link, 0.0)),
        np.where(at_daughter, fresh.null, certificate.alone.null),
        np.where(at_mother, fresh.disappear, certificate.alone.disappear),
        np.where(at_mother, fresh.divide, certificate.alone.divide),
    )
    lost = np.zeros(n_components)
    width = np.zeros(n_components, np.int64)
    for plan, graph in ((kept.plan, kept.graph), (again.plan, again.graph)):
        member = np.flatnonzero(plan.mother_component >= 0)
        at, of = mother_component[member], plan.mother_component[member]
        # where components changed, the second plan's
        lost[at] = graph.lost[of]
        width[at] = plan.width[of]
    # a component of the first plan is summed anew if any of its mothers lies in one that changed
    replaced = np.zeros(sums.component_log_z.size, dtype=bool)
    moved = np.flatnonzero((kept.plan.mother_component >= 0) & changed[mother_component])
    replaced[kept.plan.mother_component[moved]] = True
    newly_linked = (kept.plan.daughter_component < 0) & at_daughter
    newly_held = (kept.plan.mother_component < 0) & at_mother
    log_z_low = certificate.log_z_low + float(
        new.component_log_z.sum() - sums.component_log_z[replaced].sum()
    )
    log_z_low -= float(np.log(gauge.null[newly_linked]).sum() + np.log(gauge.load[newly_held, 0]).sum())
    still = np.flatnonzero(~keep)
    merged = certificate._replace(
        alone=alone, component_error=grown.per_component + lost, daughter_component=daughter_component,
        mother_component=mother_component, dropped=still, dropped_high=grown.high[still], lost=float(lost.sum()),
        log_z_low=min(log_z_low, certificate.log_z_high),
    )  # fmt: skip
    ratio_mother = np.where(at_mother, new.ratio_mother, sums.ratio_mother)
    null = np.where(at_daughter, new.null, sums.null)
    patched = sums._replace(ratio_mother=ratio_mother, null=null)
    n_linked = labels[2]
    none = np.zeros(0, np.int64)  # the steps of two plans: not needed any more
    plan = kept.plan._replace(
        step=none,
        step_start=none,
        width=width[:n_linked],
        daughter_component=labels[0],
        mother_component=labels[1],
    )
    return Elimination(gauge, kept._replace(keep=keep, plan=plan), patched, merged)


def put_back(
    problem: AssignmentProblem, gauge: Gauge, sums: Sums, certificate: Certificate, tolerance: float
) -> tuple[Marginal, float]:
    """Marginals in which dropped links have about the probability they deserve, and an estimate of log Z.

    Where her other options would change by more than the proof leaves of the tolerance, a daughter gets back a
    share of them that fills what is left.
    """
    dropped = certificate.dropped
    mother, daughter = problem.links.mother[dropped], problem.links.daughter[dropped]
    odds = gauge.link[dropped] * sums.ratio_mother[mother] * sums.null[daughter]
    likely = np.minimum(np.minimum(odds, certificate.dropped_high), 1.0)
    taken = np.bincount(daughter, likely, minlength=problem.n_daughters)
    error = certificate.component_error[certificate.daughter_component]
    room = np.maximum((1.0 - ROUNDING) * tolerance - error, 0.0)
    fits = np.divide(room, taken, out=np.ones(problem.n_daughters), where=taken > room)
    fits = np.maximum(fits, FLOOR)
    likely *= fits[daughter]
    share = 1.0 - fits * taken
    link = certificate.alone.link * share[problem.links.daughter]
    link[dropped] = likely
    # kept links whose every state was left out as negligible: not impossible, and their logarithm matters
    left_out = np.flatnonzero((link == 0.0) & (gauge.link > 0.0))
    mother, daughter = problem.links.mother[left_out], problem.links.daughter[left_out]
    with np.errstate(invalid="ignore", over="ignore"):
        odds_left = gauge.link[left_out] * sums.ratio_mother[mother] * sums.null[daughter]
    link[left_out] = np.fmin(np.where(np.isnan(odds_left), 0.0, odds_left), NEGLIGIBLE * tolerance)
    estimate = certificate.alone._replace(link=link, null=certificate.alone.null * share)
    return estimate, min(certificate.log_z_low + float(np.log1p(odds).sum()), certificate.log_z_high)
