"""`method="auto"`: exact marginals, and an estimate only for the components where these do not fit."""

from dataclasses import replace

import numpy as np

from torchtrack_uq.assignment.certificate import Marginal
from torchtrack_uq.assignment.clusters import estimate_by_clusters
from torchtrack_uq.assignment.dropping import BYTES_PER_ARC, Elimination, odds_if_free, put_back
from torchtrack_uq.assignment.elimination import FEW, NOT_CONVEX, exact_marginals, finish
from torchtrack_uq.assignment.fitting import drop_until_it_fits
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
MOST_OF_COMPONENT = 4e6  # a component that took them along a whole movie would take its memory
SMALL_SHARE, LARGE_SHARE = Share(20_000, 100, MOST_OF_COMPONENT), Share(60_000, 300, MOST_OF_COMPONENT)
"""Arcs of a component of a problem of many frames, below and from `LARGE` daughters on."""
LARGE = 20_000
FAINT = 1e-3  # share of the tolerance, of odds in problems of many frames of which the messages never change


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
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted = odds_if_free(problem, model, gauge, temperature)
    result, apart = drop_until_it_fits(problem, gauge, model.solution.chosen, wanted, tolerance, limit, share)
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
