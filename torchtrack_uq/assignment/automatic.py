"""`method="auto"`: exact marginals, and an estimate only for the components where these do not fit."""

from torchtrack_uq.assignment.by_clusters import marginals_by_clusters
from torchtrack_uq.assignment.cuts import lose_by_cuts, some_must_be_linked, stretches_of
from torchtrack_uq.assignment.dropping import BYTES_PER_ARC, odds_if_free
from torchtrack_uq.assignment.elimination import FEW, NOT_CONVEX, exact_marginals
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Share, gauge_of
from torchtrack_uq.assignment.stretches import marginals_by_stretches
from torchtrack_uq.assignment.types import EliminationTooLargeError

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
        limit = auto_limit(n, memory_limit)
        return _by_clusters(problem, temperature, tolerance, limit, share_of(n))
    clusters = memory_limit
    if memory_limit is None:
        memory_limit = auto_limit(n)
        clusters = BYTES_PER_ARC * (EASY_ARCS + EASY_ARCS_PER_DAUGHTER * n)
    try:
        return exact_marginals(problem, temperature, tolerance, memory_limit)
    except EliminationTooLargeError as error:
        if not problem.is_convex:  # nothing else can be done where a second daughter is likelier than a first
            raise EliminationTooLargeError(error.what, NOT_CONVEX, "method auto") from error
    assert clusters is not None
    limit = min(clusters, BYTES_PER_ARC * (QUICK_ARCS + QUICK_ARCS_PER_DAUGHTER * n))
    return _by_clusters(problem, temperature, tolerance, limit)


def auto_limit(n: int, memory_limit: int | None = None) -> int:
    """Bytes that frontier graphs of n daughters may take, unless a limit is given."""
    return memory_limit or BYTES_PER_ARC * (EXACT_ARCS + EXACT_ARCS_PER_DAUGHTER * n)


def share_of(n: int) -> Share:
    """What a component of a problem of many frames and n daughters may take."""
    return SMALL_SHARE if n < LARGE else LARGE_SHARE


def _by_clusters(
    problem: AssignmentProblem, temperature: float, tolerance: float, limit: int, share: Share | None = None
) -> Marginals:
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted, chosen = odds_if_free(problem, model, gauge, temperature), model.solution.chosen
    found = (problem, gauge, chosen, wanted, tolerance, limit)
    stretches = [] if share is None else stretches_of(problem, chosen)
    in_one_go = len(stretches) < 2 or some_must_be_linked(gauge)
    if share is None or in_one_go or lose_by_cuts(problem, chosen, wanted, tolerance):
        return marginals_by_clusters(*found, share)
    return marginals_by_stretches(*found, share, stretches)
