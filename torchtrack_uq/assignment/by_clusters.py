"""Marginals where not all links can be summed over: clusters that fit, with messages where that proves too little."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.certificate import Marginal
from torchtrack_uq.assignment.clusters import Counted, estimate_by_clusters
from torchtrack_uq.assignment.dropping import Elimination, FloorOf, put_back
from torchtrack_uq.assignment.elimination import finish
from torchtrack_uq.assignment.fitting import drop_until_it_fits
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, Share
from torchtrack_uq.assignment.taking_back import take_back
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

FAINT = 1e-3  # share of the tolerance, of odds in problems of many frames of which the messages never change


class CutOut(NamedTuple):
    """How a problem was cut out of a larger one.

    Attributes:
        never: (F,) bool, links that are dropped whatever they are wanted.
        counted: Cells that log Z is summed over, which is an estimate without bounds then.
        floor_of: What is proved elsewhere.
        tell: Called with what was summed and proved at first, before anything is taken back or estimated.
    """

    never: BoolArray
    counted: Counted
    floor_of: FloorOf
    tell: Callable[[Elimination], None]


@np.errstate(over="ignore")  # odds beyond what a float holds are more than enough
def marginals_by_clusters(
    problem: AssignmentProblem,
    gauge: Gauge,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
    limit: int,
    share: Share | None = None,
    cut: CutOut | None = None,
) -> Marginals:
    """Drop links until all components fit into `limit` bytes, each into its share; messages where that is no proof.

    Args:
        problem: The frame pair, the movie, or a stretch of it.
        gauge: Its weights.
        chosen: (N,) place of each daughter's link in the MAP, -1 where none is or where it is `never` kept.
        wanted: (F,) odds of each link if its mother were free (`odds_if_free`).
        tolerance: Error up to which marginals are proved where that is possible.
        limit: Bytes that frontier graphs may take.
        share: Arcs that a component of many may take.
        cut: How the problem was cut out, where it was.
    """
    if cut is not None:
        wanted = np.where(cut.never, 0.0, wanted)
    floor_of = None if cut is None else cut.floor_of
    result, may_return = drop_until_it_fits(problem, gauge, chosen, wanted, tolerance, limit, share, floor_of)
    if cut is not None:
        may_return &= ~cut.never
        cut.tell(result)
    refined = take_back(problem, result, tolerance, limit, may_return, share)
    if not isinstance(refined, Elimination):
        refined = result
    clustered = ~(refined.certificate.component_error <= tolerance)
    first, last = result.certificate, refined.certificate
    unproved = np.zeros(first.component_error.size, dtype=bool)
    unproved[first.daughter_component[clustered[last.daughter_component]]] = True
    unproved[first.mother_component[clustered[last.mother_component]]] = True
    faint = 0.0 if share is None else FAINT * tolerance
    estimate, log_z, settled = estimate_by_clusters(
        problem, *result, unproved, faint, None if cut is None else cut.counted
    )
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
