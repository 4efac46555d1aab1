"""`method="auto"`: exact marginals, and an estimate only for the components where these do not fit."""

from dataclasses import replace

import numpy as np

from torchtrack_uq.assignment.certificate import Marginal
from torchtrack_uq.assignment.clusters import estimate_by_clusters
from torchtrack_uq.assignment.dropping import (
    BYTES_PER_ARC,
    PROVABLE,
    WANTED,
    Elimination,
    drop_and_sum,
    odds_if_free,
    put_back,
)
from torchtrack_uq.assignment.elimination import FEW, NOT_CONVEX, exact_marginals, finish, too_large_error
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Share, gauge_of
from torchtrack_uq.assignment.taking_back import take_back
from torchtrack_uq.assignment.types import BoolArray, EliminationTooLargeError

QUICK_ARCS = 1_000_000  # size of the graphs of a frame pair of which not all can be exact
QUICK_ARCS_PER_DAUGHTER = 100
EASY_ARCS = 30_000
EASY_ARCS_PER_DAUGHTER = 60
EXACT_ARCS = 1_500_000  # about 50 ms, which an estimate takes as well
EXACT_ARCS_PER_DAUGHTER = 400
SMALL_SHARE, LARGE_SHARE = Share(20_000, 100), Share(60_000, 300)
"""Arcs of a component of a problem of many frames, below and from `LARGE` daughters on."""
LARGE = 20_000
FAINT = 1e-3  # share of the tolerance, of odds in problems of many frames of which the messages never change
LOOSER = 1.6  # factor by which more is dropped from a component that does not fit, to a power
FITTING, WIDER = 14.0, 4.0  # mothers side by side that nearly fit, and how many more raise that power by 1
MOST_AT_ONCE = 6.0  # power
LESS = 0.8  # factor by which the size shrinks, from attempt to attempt, beyond which components do not fit


def auto_marginals(
    problem: AssignmentProblem,
    temperature: float,
    tolerance: float,
    memory_limit: int | None = None,
    *,
    many_frames: bool = False,
) -> Marginals:
    """Exact marginals where they fit; components that do not fit lose links until their clusters do.

    Without a `memory_limit` (bytes) exact sums of a frame pair take tens of milliseconds at most, clusters a few. In a
    problem of `many_frames` every component has its own share of the work, so that one that is too ambiguous does not
    take it from thousands of others.
    """
    n = problem.n_daughters
    if many_frames and problem.is_convex and problem.links.mother.size > FEW:
        limit = memory_limit or BYTES_PER_ARC * (EXACT_ARCS + EXACT_ARCS_PER_DAUGHTER * n)
        return _by_clusters(problem, temperature, tolerance, limit, SMALL_SHARE if n < LARGE else LARGE_SHARE)
    clusters = memory_limit
    if memory_limit is None:
        memory_limit = BYTES_PER_ARC * (EXACT_ARCS + EXACT_ARCS_PER_DAUGHTER * n)
        clusters = BYTES_PER_ARC * (EASY_ARCS + EASY_ARCS_PER_DAUGHTER * n)
    try:
        return exact_marginals(problem, temperature, tolerance, memory_limit)
    except EliminationTooLargeError as error:
        if not problem.is_convex:  # nothing else can be done where a second daughter is likelier than a first
            raise EliminationTooLargeError(error.what, NOT_CONVEX, "method auto") from error
    assert clusters is not None
    limit = min(clusters, BYTES_PER_ARC * (QUICK_ARCS + QUICK_ARCS_PER_DAUGHTER * n))
    return _by_clusters(problem, temperature, tolerance, limit)


def _by_clusters(
    problem: AssignmentProblem,
    temperature: float,
    tolerance: float,
    limit: int,
    share: Share | None = None,
) -> Marginals:
    """Drop links until all components fit into `limit` bytes, each into its share; messages where that is no proof."""
    links = problem.links
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted = odds_if_free(problem, model, gauge, temperature)
    level = np.full(wanted.size, tolerance)
    chosen = np.zeros(wanted.size, dtype=bool)
    chosen[model.solution.chosen[model.solution.chosen >= 0]] = True
    apart = np.ones(wanted.size, dtype=bool)  # links with no end in a component that did not fit
    most = limit / BYTES_PER_ARC / 4
    among: BoolArray | None = None
    while True:
        result = drop_and_sum(
            problem, gauge, model.solution.chosen, wanted, tolerance, limit, level, share, among
        )
        if isinstance(result, Elimination):
            break
        if among is not None and result.graph.complete.all():
            among = None
            continue
        plan, graph = result.plan, result.graph
        of_mother, of_daughter = plan.mother_component[links.mother], plan.daughter_component[links.daughter]
        arcs = np.diff(graph.arc_start[graph.layer_start[graph.first_layer]])
        can_shrink = (
            result.keep & ~chosen & (wanted < np.inf) & ((wanted > WANTED * level) | (level <= PROVABLE))
        )
        while True:
            # components share the limit: those that take much of it must shrink too
            too_large = np.append(
                ~graph.complete | (arcs > most), False
            )  # the last for cells outside all, at -1
            touched = too_large[of_mother] | too_large[of_daughter]
            droppable = np.flatnonzero(touched & can_shrink)
            if droppable.size > 0:
                break
            if most < 1.0:
                why = "even its likeliest links alone do not fit"
                raise too_large_error(result, limit, why, "raise the limit, or use method bp", "method auto")
            most *= LESS
        most *= LESS
        apart &= ~touched
        among = None if share is None else touched  # the others fit, and only lose links to these
        wide = np.append(plan.width, 0)
        faster = LOOSER ** np.clip((wide - FITTING) / WIDER, 1.0, MOST_AT_ONCE)
        at = np.where(too_large[of_mother], of_mother, of_daughter)
        level[touched] = faster[at[touched]] * np.maximum(level[touched], 1e-3)
        # where only links that are wanted much more are left, some of them must go
        least = np.full(too_large.size, np.inf)
        np.minimum.at(least, of_daughter[droppable], wanted[droppable] / WANTED)
        least[np.isinf(least)] = 0.0
        level[touched] = np.maximum(level[touched], least[of_daughter[touched]])
    refined = take_back(problem, result, tolerance, limit, may_return=apart, share=share)
    if not isinstance(refined, Elimination):
        refined = result
    clustered = ~(refined.certificate.component_error <= tolerance)
    first, last = result.certificate, refined.certificate
    unproved = np.zeros(first.component_error.size, dtype=bool)
    unproved[first.daughter_component[clustered[last.daughter_component]]] = True
    unproved[first.mother_component[clustered[last.mother_component]]] = True
    faint = 0.0 if share is None else FAINT * tolerance
    estimate, log_z, settled = estimate_by_clusters(problem, *result, unproved, faint)
    summed, _ = put_back(problem, gauge, refined.sums, refined.certificate, tolerance)
    mixed = _mix(problem, refined, clustered, estimate, summed)
    return replace(finish(problem, refined, mixed, log_z, tolerance, clustered), converged=settled)


def _mix(
    problem: AssignmentProblem,
    result: Elimination,
    clustered: BoolArray,
    estimate: Marginal,
    summed: Marginal,
) -> Marginal:
    """Marginals of clustered components from `estimate`, of the others from `summed`."""
    at_daughter = clustered[result.certificate.daughter_component]
    at_mother = clustered[result.certificate.mother_component]

    return Marginal(
        np.where(at_daughter[problem.links.daughter], estimate.link, summed.link),
        np.where(at_daughter, estimate.null, summed.null),
        np.where(at_mother, estimate.disappear, summed.disappear),
        np.where(at_mother, estimate.divide, summed.divide),
    )
