"""Dropped links that are kept after all, where what they may be used for exceeds the tolerance."""

import numpy as np

from torchtrack_uq.assignment.certificate import Marginal, marginals_alone
from torchtrack_uq.assignment.dropping import BYTES_PER_ARC, NEGLIGIBLE, Elimination
from torchtrack_uq.assignment.kernels.dropped_links import still_dropped_at, sum_still_dropped
from torchtrack_uq.assignment.kernels.links import stable_order
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    KeptGraph,
    Share,
    all_components,
    build_kept_graph,
    components_of,
    sum_kept,
)
from torchtrack_uq.assignment.types import BoolArray, FloatArray

AIM = (
    0.95  # share of the tolerance that dropped links may take; what putting them back changes takes the rest
)
TAKE = 0.95  # share of that which stays dropped at a component that gets links back
INSIGNIFICANT = 1e-2  # share of the tolerance that all least likely links together may take
REFINEMENTS = 30
FEW_REFINEMENTS = 6  # where components run along time, what has not settled by then spreads through the movie


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
        excess = np.zeros(growing.per_component.size, dtype=bool)
        linked = np.flatnonzero(again.plan.mother_component >= 0)
        excess[growing.mother_component[linked]] = ~again.graph.complete[again.plan.mother_component[linked]]


class _Growing:
    """Kept links that grow where too much is dropped, and what dropped links sum to at each of their components."""

    def __init__(
        self, problem: AssignmentProblem, kept: KeptGraph, high: FloatArray, matters: BoolArray, rest: float
    ) -> None:
        self.problem, self.keep = problem, kept.keep.copy()
        self.labels = kept.plan.daughter_component, kept.plan.mother_component, kept.plan.width.size
        self.high, self._matters, self._rest = high, matters, rest
        self._sum_up()

    def _sum_up(self) -> None:
        links = self.problem.links
        # cells without kept links have components of their own
        self.daughter_component, self.mother_component, n_components = all_components(*self.labels)
        touching = sum_still_dropped(
            self.keep, self._matters, links.mother, links.daughter, self.mother_component, self.daughter_component,
            self.high, n_components,
        )  # fmt: skip
        self.per_component: FloatArray = self._rest + touching

    def grow(self, tolerance: float, may_return: BoolArray | None) -> bool:
        """Take the likeliest links back where dropped ones exceed the tolerance; whether any were."""
        links, excess = self.problem.links, self.per_component > AIM * tolerance
        among = self._matters if may_return is None else self._matters & may_return
        link, ends, faint = still_dropped_at(
            excess, among, self.keep, links.mother, links.daughter, self.mother_component, self.daughter_component,
            self.high, TAKE * AIM * tolerance,
        )  # fmt: skip
        if not link.size:
            return False
        _, order = stable_order(ends, np.argsort(self.high[link], kind="stable"), excess.size)
        link, ends = link[order], ends[order]
        total = np.cumsum(self.high[link])
        first = np.concatenate([[True], np.diff(ends) > 0])
        before = np.maximum.accumulate(np.where(first, total - self.high[link], 0.0))
        taken = link[faint[ends] + total - before > TAKE * AIM * tolerance]
        if not taken.size:
            return False
        self.keep[taken] = True
        self._label()
        return True

    def give_back(self, keep: BoolArray, components: BoolArray) -> None:
        """Keep what was kept at first (F,) in some components (K,)."""
        if components.any():
            self.keep &= keep | ~components[self.mother_component[self.problem.links.mother]]
            self._label()

    def _label(self) -> None:
        self.labels = components_of(self.problem, self.keep)
        self._sum_up()

    def part_that_changed(self, keep: BoolArray) -> tuple[BoolArray, BoolArray]:
        """(F,) kept links of the components that have others than at first, and (K,) which these are."""
        of_link = self.mother_component[self.problem.links.mother]
        changed = np.zeros(self.per_component.size, dtype=bool)
        changed[of_link[self.keep & ~keep]] = True
        return self.keep & changed[of_link], changed


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
    daughter_component, mother_component = grown.daughter_component, grown.mother_component
    n_components = grown.per_component.size
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
