"""Marginals by elimination: exact on small components, with a proved bound where links had to be dropped."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._min_marginals import distance_from_hub
from torchtrack_uq.assignment._types import BoolArray, EliminationTooLargeError, FloatArray, IntArray
from torchtrack_uq.assignment.certificate import (
    Certificate,
    Marginal,
    all_components,
    certify,
    marginals_alone,
)
from torchtrack_uq.assignment.clusters import estimate_by_clusters
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    Gauge,
    KeptGraph,
    Sums,
    build_kept_graph,
    first_place_ratio,
    gauge_of,
    plan_of,
    sum_kept,
)
from torchtrack_uq.assignment.ranking import GapModel, gap_model
from torchtrack_uq.assignment.result import ComponentReport, Marginals

BYTES_PER_ARC = 40  # arcs, nodes and sums of the frontier graphs
SMALL = 2_000  # links up to which elimination without dropping is tried first
SMALL_ARCS = 200_000
QUICK_ARCS = 1_000_000  # what "auto" spends on one frame pair before it drops links without proof
QUICK_ARCS_PER_DAUGHTER = 100
NEGLIGIBLE = 1e-5  # weight, as a share of the tolerance, below which a state of the elimination is left out
WANTED = (
    10.0  # a link is dropped at first if its odds, were its mother free, are at most this many tolerances
)
TRIVIAL = 5e-2  # odds, as a share of the tolerance, below which links inside components need no closer look
INSIDE_SHARE = 0.3  # sum of these odds up to which links are dropped inside a component
AIM = 0.7  # share of the tolerance that dropped links may take; putting them back roughly may take the rest
STEPS = 4  # how often the dropped links are chosen anew before giving up


class Elimination(NamedTuple):
    """A summed frame pair: kept links, their sums and what is proved about the rest."""

    gauge: Gauge
    kept: KeptGraph
    sums: Sums
    certificate: Certificate


def exact_marginals(
    problem: AssignmentProblem, temperature: float, tolerance: float, memory_limit: int
) -> Marginals:
    """Marginals with error_bound <= tolerance, or `EliminationTooLargeError`."""
    unpruned = _without_dropping(problem, temperature, tolerance, memory_limit)
    if unpruned is not None:
        return unpruned
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted = _if_free(problem, model, gauge, temperature)
    why = f"links may be dropped only up to tolerance={tolerance}"
    share = 1.0
    for _ in range(STEPS):
        result = _eliminate(problem, gauge, model.solution.chosen, wanted, tolerance * share, memory_limit)
        if not result.kept.graph.complete.all():
            raise _too_large(result.kept, memory_limit, why)
        refined = _refine(problem, result, tolerance, memory_limit)
        if refined is not None:
            if not refined.kept.graph.complete.all():
                raise _too_large(refined.kept, memory_limit, why)
            estimate, log_z = _put_back(problem, gauge, refined.sums, refined.certificate)
            found = finish(problem, refined, estimate, log_z, tolerance)
            if found.exact:
                return found
        share /= 4.0
    raise EliminationTooLargeError(
        f"no choice of dropped links was proved to change the marginals by at most tolerance={tolerance}; "
        f"use "
        "method='auto' for an estimate, or tolerance=0 to drop none."
    )


def auto_marginals(
    problem: AssignmentProblem, temperature: float, tolerance: float, memory_limit: int
) -> Marginals:
    """Exact marginals where they fit; otherwise more links are dropped until the elimination does fit."""
    affordable = BYTES_PER_ARC * (QUICK_ARCS + QUICK_ARCS_PER_DAUGHTER * problem.n_daughters)
    limit = min(memory_limit, affordable)
    try:
        return exact_marginals(problem, temperature, tolerance, limit)
    except EliminationTooLargeError:
        if not problem.is_convex:
            raise
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted = _if_free(problem, model, gauge, temperature)
    looser = max(tolerance, 1e-3)
    while True:
        looser *= 1.6
        result = _eliminate(problem, gauge, model.solution.chosen, wanted, looser, limit, trivial=np.inf)
        if result.kept.graph.complete.all():
            estimate, log_z, settled = estimate_by_clusters(problem, *result)
            return replace(finish(problem, result, estimate, log_z, tolerance), converged=settled)


def _without_dropping(
    problem: AssignmentProblem, temperature: float, tolerance: float, memory_limit: int
) -> Marginals | None:
    """Marginals of the problem as it is, or None if that is better not tried."""
    must = tolerance == 0.0 or not problem.is_convex
    if not must and problem.links.mother.size > SMALL:
        return None
    model = gap_model(problem, allow_non_convex=True)
    gauge = gauge_of(problem, model, temperature)
    keep = np.ones(problem.links.mother.size, dtype=bool)
    most = memory_limit // BYTES_PER_ARC
    kept = build_kept_graph(problem, keep, gauge, most if must else min(SMALL_ARCS, most))
    if not kept.graph.complete.all():
        if must:
            raise _too_large(
                kept,
                memory_limit,
                "no link may be dropped (tolerance=0, or a second daughter is the cheaper one)",
            )
        return None
    sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    n_components = kept.plan.width.size
    report = _report(problem, kept, np.zeros(n_components), 0.0)
    alone = marginals_alone(gauge, kept, sums)
    return Marginals(
        *to_problem_order(problem, alone), gauge.log_scale + sums.log_z, 1.0, 0.0, True, "exact", True, report
    )


def to_problem_order(
    problem: AssignmentProblem, marginal: Marginal
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Marginals with links in the problem's order; forbidden links get 0, rounding is clipped to [0, 1]."""
    link = np.zeros(problem.n_links)
    link[problem.links.link] = marginal.link
    parts = (link, marginal.null, marginal.disappear, marginal.divide)
    clipped = tuple(np.clip(part, 0.0, 1.0) for part in parts)
    return clipped[0], clipped[1], clipped[2], clipped[3]


def _if_free(problem: AssignmentProblem, model: GapModel, gauge: Gauge, temperature: float) -> FloatArray:
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
    with np.errstate(over="ignore", divide="ignore"):
        return (
            gauge.link * first_place_ratio(gauge)[links.mother] * np.exp(-own / temperature)[links.daughter]
        )


def _eliminate(
    problem: AssignmentProblem,
    gauge: Gauge,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
    memory_limit: int,
    trivial: float | None = None,
) -> Elimination:
    """Drop what is wanted least, sum the rest, and bound what that changed."""
    keep = _choose_kept(problem, gauge, chosen, wanted, tolerance)
    kept = build_kept_graph(problem, keep, gauge, memory_limit // BYTES_PER_ARC, NEGLIGIBLE * tolerance)
    if not kept.graph.complete.all():
        return Elimination(gauge, kept, *([None, None]))  # type: ignore[arg-type]
    sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    return Elimination(
        gauge,
        kept,
        sums,
        certify(problem, kept, gauge, sums, TRIVIAL * tolerance if trivial is None else trivial),
    )


def _choose_kept(
    problem: AssignmentProblem, gauge: Gauge, chosen: IntArray, wanted: FloatArray, tolerance: float
) -> BoolArray:
    """Links to keep before anything is proved: the MAP's and those wanted much.

    A dropped link is used only if its mother happens to be free, so it may be wanted a few times the
    tolerance. Inside
    a component the dropped ones together must stay well below 1 for the proof to get off the ground.
    """
    links = problem.links
    keep = ~(wanted <= WANTED * tolerance)
    keep[chosen[chosen >= 0]] = True
    plan = plan_of(problem, keep)
    component = plan.mother_component[links.mother]
    inside = np.flatnonzero(~keep & (component >= 0) & (component == plan.daughter_component[links.daughter]))
    order = inside[np.lexsort((wanted[inside], component[inside]))]
    total = np.cumsum(wanted[order])
    first = np.concatenate([[True], np.diff(component[order]) > 0]) if order.size else np.zeros(0, dtype=bool)
    before = np.maximum.accumulate(np.where(first, total - wanted[order], 0.0))
    keep[order[total - before > INSIDE_SHARE]] = True
    return keep


def _refine(
    problem: AssignmentProblem, result: Elimination, tolerance: float, memory_limit: int
) -> Elimination | None:
    """Keep more links where the proved probabilities of dropped ones exceed the tolerance; None if it fails.

    Bounds of probabilities in the whole problem hold whatever is kept, so only the components that change are
    summed again, and their new bound is the sum over the links that still touch them.
    """
    gauge, kept, sums, certificate = result
    links = problem.links
    high = np.zeros(links.mother.size)
    high[certificate.dropped] = certificate.dropped_high
    keep = kept.keep.copy()
    plan = kept.plan
    for _ in range(STEPS):
        daughter_component, mother_component, n_components = all_components(plan)
        dropped = np.flatnonzero(~keep)
        of_mother, of_daughter = (
            mother_component[links.mother[dropped]],
            daughter_component[links.daughter[dropped]],
        )
        across = of_daughter != of_mother
        per_component = np.bincount(of_mother, high[dropped], minlength=n_components) + np.bincount(
            of_daughter[across], high[dropped[across]], minlength=n_components
        )
        excess = per_component > AIM * tolerance
        if not excess.any():
            break
        ends = np.concatenate([of_mother, of_daughter[across]])
        link = np.concatenate([dropped, dropped[across]])
        link, ends = link[excess[ends]], ends[excess[ends]]
        order = np.lexsort((high[link], ends))
        total = np.cumsum(high[link[order]])
        first = np.concatenate([[True], np.diff(ends[order]) > 0])
        before = np.maximum.accumulate(np.where(first, total - high[link[order]], 0.0))
        keep[link[order[total - before > 0.5 * AIM * tolerance]]] = True
        plan = plan_of(problem, keep)
    else:
        return None
    changed = np.zeros(n_components, dtype=bool)
    added = np.flatnonzero(keep & ~kept.keep)
    changed[mother_component[links.mother[added]]] = True
    part = keep & changed[mother_component[links.mother]]
    again = build_kept_graph(problem, part, gauge, memory_limit // BYTES_PER_ARC, NEGLIGIBLE * tolerance)
    if not again.graph.complete.all():
        return Elimination(gauge, again, sums, certificate)
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
    for part_plan, graph in ((kept.plan, kept.graph), (again.plan, again.graph)):
        member = part_plan.mother_component >= 0
        np.maximum.at(lost, mother_component[member], graph.lost[part_plan.mother_component[member]])
    merged = certificate._replace(
        alone=alone, component_error=per_component + lost, daughter_component=daughter_component,
        mother_component=mother_component, dropped=dropped, dropped_high=high[dropped],
    )  # fmt: skip
    ratio_mother = np.where(at_mother, new.ratio_mother, sums.ratio_mother)
    null = np.where(at_daughter, new.null, sums.null)
    patched = sums._replace(ratio_mother=ratio_mother, null=null)
    return Elimination(gauge, kept._replace(keep=keep, plan=plan), patched, merged)


def _put_back(
    problem: AssignmentProblem, gauge: Gauge, sums: Sums, certificate: Certificate
) -> tuple[Marginal, float]:
    """Marginals in which dropped links have about the probability they deserve, and an estimate of log Z."""
    dropped = certificate.dropped
    mother, daughter = problem.links.mother[dropped], problem.links.daughter[dropped]
    odds = gauge.link[dropped] * sums.ratio_mother[mother] * sums.null[daughter]
    likely = np.minimum(odds, certificate.dropped_high)
    share = 1.0 - np.bincount(daughter, likely, minlength=problem.n_daughters)
    link = certificate.alone.link * share[problem.links.daughter]
    link[dropped] = likely
    estimate = certificate.alone._replace(link=link, null=certificate.alone.null * share)
    return estimate, min(certificate.log_z_low + float(np.log1p(odds).sum()), certificate.log_z_high)


def finish(
    problem: AssignmentProblem, result: Elimination, estimate: Marginal, log_z: float, tolerance: float
) -> Marginals:
    """Say what is proved about an estimate of the marginals."""
    gauge, kept, _, certificate = result
    alone = certificate.alone
    links = problem.links
    of_daughter, of_mother = certificate.daughter_component, certificate.mother_component
    error = np.zeros(certificate.component_error.size)
    link_shift = np.abs(estimate.link - alone.link)
    link_shift[certificate.dropped] = 0.0
    np.maximum.at(error, of_daughter[links.daughter], link_shift)
    np.maximum.at(error, of_daughter, np.abs(estimate.null - alone.null))
    for name in ("disappear", "divide"):
        np.maximum.at(error, of_mother, np.abs(getattr(estimate, name) - getattr(alone, name)))
    error += certificate.component_error
    dropped_error = np.maximum(estimate.link[certificate.dropped], certificate.dropped_high)
    if not np.isfinite(certificate.component_error).all():
        dropped_error = np.full(dropped_error.size, np.inf)
    bound = float(max(error.max(initial=0.0), dropped_error.max(initial=0.0)))
    covered = max(
        1.0 - float(certificate.dropped_high.sum()),
        float(np.exp(certificate.log_z_low - certificate.log_z_high)),
        0.0,
    )
    bound = bound if bound < 1.0 else float("inf")
    exact = bound <= tolerance
    report = _report(problem, kept, error[: kept.plan.width.size], tolerance)
    return Marginals(
        *to_problem_order(problem, estimate), gauge.log_scale + log_z, covered, bound, exact,
        "exact" if exact else "cluster_bp", True, report,
    )  # fmt: skip


def _report(
    problem: AssignmentProblem, kept: KeptGraph, error: FloatArray, tolerance: float
) -> ComponentReport:
    plan = kept.plan
    n = plan.width.size
    daughters = np.bincount(plan.daughter_component[plan.daughter_component >= 0], minlength=n)
    mothers = np.bincount(plan.mother_component[plan.mother_component >= 0], minlength=n)
    return ComponentReport(daughters, mothers, plan.width, error <= tolerance, error)


def _too_large(kept: KeptGraph, memory_limit: int, why: str) -> EliminationTooLargeError:
    plan = kept.plan
    incomplete = np.flatnonzero(~kept.graph.complete)
    c = int(incomplete[np.argmax(plan.width[incomplete])])
    n_daughters = int(np.count_nonzero(plan.daughter_component == c))
    n_mothers = int(np.count_nonzero(plan.mother_component == c))
    return EliminationTooLargeError(
        f"exact elimination of a component with {n_daughters} daughters and {n_mothers} mothers (frontier of "
        f"{plan.width[c]} mothers) exceeds memory_limit={memory_limit} bytes, and {why}; raise the limit or "
        f"the "
        "tolerance, or use method='auto'."
    )
