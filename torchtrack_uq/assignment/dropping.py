"""Which links to drop before elimination, what that leaves to sum, and which to take back."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.certificate import (
    Certificate,
    Marginal,
    certify,
)
from torchtrack_uq.assignment.daughter_bounds import Floor
from torchtrack_uq.assignment.gap_model import GapModel
from torchtrack_uq.assignment.kernels.min_marginals import distance_from_hub
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    Gauge,
    KeptGraph,
    Share,
    Sums,
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
PROVABLE = 1.0  # level up to which a proof is sought: beyond it, dropped links are likelier than not
FLOOR = 1e-12  # least share of what it deserves that a dropped link gets, so that no candidate is impossible
ROUNDING = 1e-9  # share of the tolerance left free, since sums that reach it are rounded
LOG_LARGE = 600.0  # log of the odds beyond which they grow with their logarithm only


FloorOf = Callable[[BoolArray], Floor]
"""What is proved elsewhere of the daughters of a problem of which links (F,) bool are kept."""


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
    floor_of: FloorOf | None = None,
) -> Elimination | KeptGraph:
    """Drop what is wanted least, sum the rest, and bound what that changed; only the graph if that does not fit.

    `level` (F,) is the tolerance by which links are dropped, if that differs between them; where it is
    above `tolerance`, bounds are made with less effort. No component may take more than a `share` of the graphs.
    `floor_of` the kept links is asked what is proved elsewhere.
    """
    level = np.full(wanted.size, tolerance) if level is None else level
    kept = drop(problem, gauge, chosen, wanted, tolerance, memory_limit, level, share)
    if not kept.graph.complete.all():
        return kept
    sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    trivial = np.where(level > tolerance, np.inf, TRIVIAL * tolerance)
    floor = None if floor_of is None else floor_of(kept.keep)
    return Elimination(gauge, kept, sums, certify(problem, kept, gauge, sums, trivial, floor))


def drop(
    problem: AssignmentProblem,
    gauge: Gauge,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
    memory_limit: int,
    level: FloatArray,
    share: Share | None = None,
) -> KeptGraph:
    """The graph of what is kept, as for `drop_and_sum`; components that do not fit are left incomplete."""
    keep = choose_kept(problem, chosen, wanted, level)
    return build_kept_graph(
        problem, keep, gauge, memory_limit // BYTES_PER_ARC, NEGLIGIBLE * tolerance, share=share
    )


def choose_kept(
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
    little = np.fmin(np.where(np.isnan(odds_left), 0.0, odds_left), NEGLIGIBLE * tolerance)
    rest = np.maximum(1.0 - np.bincount(daughter, little, minlength=problem.n_daughters), 0.0)
    link *= rest[problem.links.daughter]
    link[left_out] = little
    estimate = certificate.alone._replace(link=link, null=certificate.alone.null * share * rest)
    return estimate, min(certificate.log_z_low + float(np.log1p(odds).sum()), certificate.log_z_high)
