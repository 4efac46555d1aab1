"""An estimate for frames whose components are too large: belief propagation between exactly summed clusters.

Dropped links carry messages as in belief propagation, kept ones are summed exactly. With every link dropped
this is `belief`; with none it is exact elimination. (A form of generalised belief propagation: Yedidia,
Freeman & Weiss, NeurIPS 2000.) What it returns is an estimate without proof.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.certificate import Certificate, Marginal
from torchtrack_uq.assignment.kernels.messages import renew_messages, weigh_links
from torchtrack_uq.assignment.part import part_of, whole_of
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, KeptGraph, Sums, sum_kept
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

SWEEPS = 60
DAMPING = 0.4
CONVERGED = 1e-5
MOST = 1e12
"""Odds that a message may say; their squares are taken from each other."""
MOST_OF_ALL = 0.5  # share of the links from which on the whole is worked on instead of a copy of its part


class Counted(NamedTuple):
    """Cells that log Z is summed over: of components the share of their daughters, links with their daughters.

    Attributes:
        daughter: (N,) bool.
        mother: (M,) bool.
    """

    daughter: BoolArray
    mother: BoolArray

    def of_components(self, kept: KeptGraph) -> FloatArray:
        """(C,) share of the daughters of each component that is counted."""
        linked = np.flatnonzero(kept.plan.daughter_component >= 0)
        component, n = kept.plan.daughter_component[linked], kept.plan.width.size
        counted = np.bincount(component, self.daughter[linked], n)
        share: FloatArray = counted / np.maximum(np.bincount(component, minlength=n), 1)
        return share


def estimate_by_clusters(
    problem: AssignmentProblem,
    gauge: Gauge,
    kept: KeptGraph,
    sums: Sums,
    certificate: Certificate,
    wanted: BoolArray,
    least: float = 0.0,
    counted: Counted | None = None,
) -> tuple[Marginal, float, bool]:
    """Marginals with messages on the dropped links, an estimate of log Z, and whether these settled.

    Args:
        problem: The frame pair, or the movie.
        gauge: Its weights.
        kept: Frontier graphs of the kept links.
        sums: Their sums.
        certificate: What is proved of them.
        wanted: (K,) bool, components of the certificate to estimate. The others send what they are alone, and that is
            what is returned of them.
        least: Messages of links whose odds are at most this at both ends stay as they are at first, and the others have
            settled once they change by a hundred times that or less.
        counted: By default all. The certificate's bounds of log Z are of all, so only that of all is kept within.
    """
    links, dropped = problem.links, certificate.dropped
    at_daughter, at_mother = wanted[certificate.daughter_component], wanted[certificate.mother_component]
    touched = at_daughter[links.daughter] | at_mother[links.mother]
    apart = dropped[~touched[dropped]]
    mother, daughter = links.mother[apart], links.daughter[apart]
    log_z, bounds = sums.log_z, (certificate.log_z_low, certificate.log_z_high)
    if counted is None:
        every = np.ones(problem.n_daughters, np.bool_), np.ones(problem.n_mothers, np.bool_)
        counted = Counted(*every)
    else:
        log_z, bounds = _log_z_of(gauge, kept, sums, counted), (-np.inf, np.inf)
    apart_odds = gauge.link[apart] * sums.ratio_mother[mother] * sums.null[daughter]
    log_z += float(np.log1p(apart_odds[counted.daughter[daughter]]).sum())
    summed = wanted[: kept.plan.width.size]
    component_log_z = sums.component_log_z
    if np.count_nonzero(touched) < MOST_OF_ALL * touched.size:
        part = part_of(problem, touched)
        kept, component_log_z = part.kept(kept, summed), component_log_z[summed]
        summed = np.ones(component_log_z.size, dtype=bool)
    else:
        part = whole_of(problem)
    alone = _Alone(
        part.problem, part.gauge(gauge), kept, sums.null[part.daughter], sums.ratio_mother[part.mother],
        component_log_z, summed, at_daughter[part.daughter], at_mother[part.mother],
        Counted(counted.daughter[part.daughter], counted.mother[part.mother]),
    )  # fmt: skip
    found, change, settled = _pass_messages(alone, least)
    own = alone.at_daughter[part.problem.links.daughter]
    estimate = Marginal(*(values.copy() for values in certificate.alone))
    estimate.link[part.link[own]] = found.link[own]
    estimate.null[part.daughter[alone.at_daughter]] = found.null[alone.at_daughter]
    estimate.disappear[part.mother[alone.at_mother]] = found.disappear[alone.at_mother]
    estimate.divide[part.mother[alone.at_mother]] = found.divide[alone.at_mother]
    return estimate, min(max(log_z + change, bounds[0]), bounds[1]), settled


def _log_z_of(gauge: Gauge, kept: KeptGraph, sums: Sums, counted: Counted) -> float:
    """Log of the sum over the kept links, of the counted cells."""
    log_z = (sums.component_log_z * counted.of_components(kept)).sum()
    log_z += np.log(gauge.null[(kept.plan.daughter_component < 0) & counted.daughter]).sum()
    return float(log_z + np.log(gauge.load[(kept.plan.mother_component < 0) & counted.mother, 0]).sum())


class _Alone(NamedTuple):
    """What is known before messages are passed; cells and links as in `Part`.

    Attributes:
        problem: The components to estimate, and what dropped links lead to from there.
        gauge: Weights.
        kept: Frontier graphs.
        null: (N,) sums without each daughter; this and the next two from the kept links alone.
        ratio_mother: (M,) room of each mother.
        component_log_z: (C,) log of each component's sum.
        summed: (C,) bool, components to estimate.
        at_daughter: (N,) bool, daughters in these.
        at_mother: (M,) bool, mothers in these.
        counted: Cells that log Z is summed over.
    """

    problem: AssignmentProblem
    gauge: Gauge
    kept: KeptGraph
    null: FloatArray
    ratio_mother: FloatArray
    component_log_z: FloatArray
    summed: BoolArray
    at_daughter: BoolArray
    at_mother: BoolArray
    counted: Counted


def _pass_messages(alone: _Alone, least: float) -> tuple[Marginal, float, bool]:
    """Marginals where components are estimated, what messages change in log Z there, and whether they settled."""
    problem, gauge, kept, *_, summed, at_daughter, at_mother, counted = alone
    links, n, m = problem.links, problem.n_daughters, problem.n_mothers
    awake = at_daughter[links.daughter].astype(np.int8) + at_mother[links.mother]
    dropped = np.flatnonzero(~kept.keep & (awake > 0))
    mother, daughter, awake = links.mother[dropped], links.daughter[dropped], awake[dropped]
    weight = gauge.link[dropped]
    # daughter to mother: y = w / D without this link
    odds = np.minimum(weight * alone.null[daughter], MOST)
    through = weight * alone.ratio_mother[mother]  # mother to daughter: w R without this link
    taken = through * alone.null[daughter]
    still = (odds <= least) & (taken <= least)
    # what every component weighs with its messages counts a link once at each end that has them
    log_z = -float(np.log1p(taken[still & (awake == 2) & counted.daughter[daughter]]).sum())
    to_daughter, to_mother = at_daughter[daughter], at_mother[mother]
    arriving = np.zeros(links.mother.size)
    arriving[dropped[to_daughter]] = through[to_daughter]
    odds_of_rest = np.zeros(m) + np.bincount(mother[still & to_mother], odds[still & to_mother], m)
    moving = ~still
    dropped, mother, daughter = dropped[moving], mother[moving], daughter[moving]
    weight, odds, through, awake = weight[moving], odds[moving], through[moving], awake[moving]
    at_end, from_daughter = np.flatnonzero(to_daughter[moving]), to_mother[moving]
    link, squares, before = np.zeros(links.mother.size), np.empty(n), np.full(n, np.inf)
    settled = False
    for _ in range(SWEEPS):
        e1, e2, load = _with_odds(problem, gauge, mother, np.where(from_daughter, odds, 0.0), odds_of_rest)
        arriving[dropped[at_end]] = through[at_end]
        null = gauge.null + np.bincount(links.daughter, arriving, n)
        both = sum_kept(problem, kept, gauge.link, null, load, summed)
        weigh_links(
            links.daughter, kept.keep, at_daughter, arriving, gauge.link, both.link, both.null, link, squares
        )
        own_null = gauge.null * both.null
        now = np.where(at_daughter, squares + own_null, 0.0)
        settled = bool(np.abs(now - before).max(initial=0.0) < max(CONVERGED, 100 * least))
        if settled:
            break
        before = now
        renew_messages(
            mother, daughter, weight, at_mother, at_daughter, e1, e2, gauge.load, both.load, both.null, gauge.null,
            DAMPING, MOST, odds, through,
        )  # fmt: skip
    divide = gauge.load[:, 2] * (both.load[:, 2] + e1 * both.load[:, 1] + e2 * both.load[:, 0])
    change = (both.component_log_z - alone.component_log_z) * counted.of_components(kept)
    log_z += float(change[summed].sum())
    # of cells without kept links: alone they weigh 1
    log_z += float(np.log(null[(kept.plan.daughter_component < 0) & at_daughter & counted.daughter]).sum())
    log_z += float(np.log(load[(kept.plan.mother_component < 0) & at_mother & counted.mother, 0]).sum())
    both_ends = (awake == 2) & counted.daughter[daughter]
    log_z -= float(np.log1p(odds * through / np.maximum(weight, 1e-300))[both_ends].sum())
    return Marginal(link, own_null, gauge.load[:, 0] * both.load[:, 0], divide), log_z, settled


def _with_odds(
    problem: AssignmentProblem, gauge: Gauge, mother: IntArray, odds: FloatArray, more: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Elementary symmetric sums e1, e2 (M,) of the odds at each mother, and g (M, 3) with them summed in.

    `more` (M,) is the sum of other odds there, of which the squares do not matter.
    """
    e1 = more + np.bincount(mother, odds, minlength=problem.n_mothers)
    e2 = np.maximum(0.5 * (e1 * e1 - np.bincount(mother, odds * odds, minlength=problem.n_mothers)), 0.0)
    load = gauge.load.copy()
    load[:, 0] += e1 * gauge.load[:, 1] + e2 * gauge.load[:, 2]
    load[:, 1] += e1 * gauge.load[:, 2]
    return e1, e2, load
