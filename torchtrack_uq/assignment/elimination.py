"""Marginals by elimination: exact on small components, with a proved bound where links had to be dropped."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._min_marginals import distance_from_hub
from torchtrack_uq.assignment._types import BoolArray, EliminationTooLargeError, FloatArray, IntArray
from torchtrack_uq.assignment.certificate import (
    Certificate,
    Marginal,
    certify,
    daughter_ratio,
    marginals_alone,
)
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
NEGLIGIBLE = 1e-6  # weight, as a share of the tolerance, below which a state of the elimination is left out
INSIDE_SHARE = 0.4  # share of the tolerance that links dropped inside a component may take
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
    share = 1.0
    for _ in range(STEPS):
        result = _eliminate(problem, gauge, model.solution.chosen, wanted, tolerance * share, memory_limit)
        kept = result.kept
        if not kept.graph.complete.all():
            raise _too_large(kept, memory_limit, f"links may be dropped only up to tolerance={tolerance}")
        found = finish(problem, result, tolerance)
        if found.exact:
            return found
        share /= 4.0
    return found


def pruned_marginals(
    problem: AssignmentProblem, temperature: float, tolerance: float, memory_limit: int
) -> Marginals:
    """Exact marginals where they fit; otherwise more links are dropped until the elimination does fit."""
    try:
        return exact_marginals(problem, temperature, tolerance, memory_limit)
    except EliminationTooLargeError:
        if not problem.is_convex:
            raise
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted = _if_free(problem, model, gauge, temperature)
    limit = min(memory_limit, 4 * BYTES_PER_ARC * (SMALL_ARCS + 50 * problem.n_daughters))
    while True:
        tolerance_used = max(tolerance, 1e-3) * 4.0
        while True:
            result = _eliminate(problem, gauge, model.solution.chosen, wanted, tolerance_used, limit)
            if result.kept.graph.complete.all():
                return finish(problem, result, tolerance)
            tolerance_used *= 4.0


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
) -> Elimination:
    """Drop what is wanted least, sum the rest, and bound what that changed."""
    keep = _choose_kept(problem, gauge, chosen, wanted, tolerance)
    kept = build_kept_graph(problem, keep, gauge, memory_limit // BYTES_PER_ARC, NEGLIGIBLE * tolerance)
    if not kept.graph.complete.all():
        return Elimination(gauge, kept, *([None, None]))  # type: ignore[arg-type]
    sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    return Elimination(gauge, kept, sums, certify(problem, kept, gauge, sums))


def _choose_kept(
    problem: AssignmentProblem, gauge: Gauge, chosen: IntArray, wanted: FloatArray, tolerance: float
) -> BoolArray:
    """Links to keep: those wanted much, and inside components as many as the tolerance asks for.

    A link between components is used only if its mother happens to be free, so it may be wanted 10 times
    as much.
    """
    links = problem.links
    keep = ~(wanted <= 10.0 * tolerance)
    keep[chosen[chosen >= 0]] = True
    plan = plan_of(problem, keep)
    component = plan.mother_component[links.mother]
    inside = np.flatnonzero(~keep & (component >= 0) & (component == plan.daughter_component[links.daughter]))
    order = inside[np.lexsort((wanted[inside], component[inside]))]
    total = np.cumsum(wanted[order])
    first = np.concatenate([[True], np.diff(component[order]) > 0]) if order.size else np.zeros(0, dtype=bool)
    before = np.maximum.accumulate(np.where(first, total - wanted[order], 0.0))
    keep[order[total - before > INSIDE_SHARE * tolerance]] = True
    return keep


def finish(problem: AssignmentProblem, result: Elimination, tolerance: float) -> Marginals:
    """Put the dropped links back as independent neighbours, and say what is proved about the outcome."""
    gauge, kept, sums, certificate = result
    estimate, log_z = _cavity(problem, gauge, kept, sums, certificate)
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
        "exact" if exact else "pruned", True, report,
    )  # fmt: skip


def _cavity(
    problem: AssignmentProblem, gauge: Gauge, kept: KeptGraph, sums: Sums, certificate: Certificate
) -> tuple[Marginal, float]:
    """Marginals with the dropped links as independent neighbours, and log Z (a Bethe estimate)."""
    dropped = certificate.dropped
    if dropped.size == 0:
        return certificate.alone, sums.log_z
    mother, daughter = problem.links.mother[dropped], problem.links.daughter[dropped]
    weight = gauge.link[dropped]
    odds = weight / daughter_ratio(sums)[daughter]
    e1 = np.bincount(mother, odds, minlength=problem.n_mothers)
    e2 = np.maximum(0.5 * (e1 * e1 - np.bincount(mother, odds * odds, minlength=problem.n_mothers)), 0.0)
    load = gauge.load.copy()
    load[:, 0] += e1 * gauge.load[:, 1] + e2 * gauge.load[:, 2]
    load[:, 1] += e1 * gauge.load[:, 2]
    through = weight * sums.ratio_mother[mother]
    null = gauge.null + np.bincount(daughter, through, minlength=problem.n_daughters)
    both = sum_kept(problem, kept, gauge.link, null, load)
    link = gauge.link * both.link
    link[dropped] = through * both.null[daughter]
    divide = gauge.load[:, 2] * (both.load[:, 2] + e1 * both.load[:, 1] + e2 * both.load[:, 0])
    estimate = Marginal(link, gauge.null * both.null, gauge.load[:, 0] * both.load[:, 0], divide)
    log_z = sums.log_z + float(np.log1p(odds * sums.ratio_mother[mother]).sum())
    return estimate, min(max(log_z, certificate.log_z_low), certificate.log_z_high)


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
