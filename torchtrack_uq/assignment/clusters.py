"""An estimate for frames whose components are too large: belief propagation between exactly summed clusters.

Dropped links carry messages as in belief propagation, kept ones are summed exactly. With every link dropped
this is `belief`; with none it is exact elimination. (A form of generalised belief propagation: Yedidia,
Freeman & Weiss, NeurIPS 2000.) What it returns is an estimate without proof.
"""

import numpy as np

from torchtrack_uq.assignment.certificate import Certificate, Marginal
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, KeptGraph, Sums, sum_kept
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

SWEEPS = 60
DAMPING = 0.4
CONVERGED = 1e-5
LEAST = 1e-200
"""Where the logarithm or the inverse of a message is taken."""


def estimate_by_clusters(
    problem: AssignmentProblem,
    gauge: Gauge,
    kept: KeptGraph,
    sums: Sums,
    certificate: Certificate,
    wanted: BoolArray,
    least: float = 0.0,
) -> tuple[Marginal, float, bool]:
    """Marginals with messages on the dropped links, an estimate of log Z, and whether these settled.

    Args:
        problem: The frame pair, or the movie.
        gauge: Its weights.
        kept: Frontier graphs of the kept links.
        sums: Their sums.
        certificate: What is proved of them.
        wanted: (K,) bool, components of the certificate to estimate. The others send what they are alone; their
            marginals here mean nothing.
        least: Messages of links whose odds are at most this at both ends stay as they are at first, and the others have
            settled once they change by a hundred times that or less.
    """
    links, n, m = problem.links, problem.n_daughters, problem.n_mothers
    at_daughter, at_mother = wanted[certificate.daughter_component], wanted[certificate.mother_component]
    dropped = certificate.dropped
    mother, daughter = links.mother[dropped], links.daughter[dropped]
    weight = gauge.link[dropped]
    odds = weight * sums.null[daughter]  # daughter to mother: y = w / D without this link
    through = weight * sums.ratio_mother[mother]  # mother to daughter: w R without this link
    log_use = np.log1p(through * sums.null[daughter])
    awake = at_daughter[daughter].astype(np.int8) + at_mother[mother]
    still = (odds <= least) & (through * sums.null[daughter] <= least)
    # what every component weighs with its messages counts a link once at each end that has them
    log_z = float(log_use[awake == 0].sum() - log_use[still & (awake == 2)].sum())
    rest = still & at_daughter[daughter]
    null_with_rest = gauge.null + np.bincount(daughter[rest], through[rest], n)
    rest_link = np.zeros(links.mother.size)
    rest_link[dropped[rest]] = through[rest]
    own = np.flatnonzero(at_daughter[links.daughter])
    of_rest = own[rest_link[own] > 0.0]
    rest_link = rest_link[of_rest]
    rest = still & at_mother[mother]
    odds_of_rest = np.zeros(m) + np.bincount(mother[rest], odds[rest], m)
    moving = (awake > 0) & ~still
    dropped, mother, daughter = dropped[moving], mother[moving], daughter[moving]
    weight, odds, through, awake = weight[moving], odds[moving], through[moving], awake[moving]
    # ends whose sums are made anew: there messages arrive, and from there they change
    by_daughter, by_mother = at_daughter[daughter], at_mother[mother]
    arriving = np.flatnonzero(by_daughter)
    summed = wanted[: kept.plan.width.size]
    link = np.zeros(links.mother.size)
    before = np.full(n, np.inf)
    settled = False
    for _ in range(SWEEPS):
        e1, e2, load = _with_odds(problem, gauge, mother, np.where(by_mother, odds, 0.0), odds_of_rest)
        null = null_with_rest + np.bincount(daughter[arriving], through[arriving], n)
        both = sum_kept(problem, kept, gauge.link, null, load, summed)
        link[own] = gauge.link[own] * both.link[own]
        link[dropped[arriving]] = through[arriving] * both.null[daughter[arriving]]
        link[of_rest] = rest_link * both.null[links.daughter[of_rest]]
        own_null = gauge.null * both.null
        now = np.where(at_daughter, np.bincount(links.daughter[own], link[own] ** 2, n) + own_null, 0.0)
        settled = bool(np.abs(now - before).max(initial=0.0) < max(CONVERGED, 100 * least))
        if settled:
            break
        before = now
        # messages without what came back along the same link
        with np.errstate(divide="ignore", invalid="ignore"):
            others = np.maximum(1.0 / np.maximum(both.null[daughter], LEAST) - through, LEAST)
            o1 = np.maximum(e1[mother] - odds, 0.0)
            o2 = np.maximum(e2[mother] - odds * o1, 0.0)
            g, of = gauge.load[mother], both.load[mother]
            room = of[:, 0] * (g[:, 1] + o1 * g[:, 2]) + of[:, 1] * g[:, 2]
            all_of = (
                of[:, 0] * (g[:, 0] + o1 * g[:, 1] + o2 * g[:, 2])
                + of[:, 1] * (g[:, 1] + o1 * g[:, 2])
                + of[:, 2] * g[:, 2]
            )
            odds = np.where(by_daughter, DAMPING * odds + (1.0 - DAMPING) * weight / others, odds)
            through = np.where(
                by_mother, DAMPING * through + (1.0 - DAMPING) * weight * room / all_of, through
            )
    divide = gauge.load[:, 2] * (both.load[:, 2] + e1 * both.load[:, 1] + e2 * both.load[:, 0])
    estimate = Marginal(link, own_null, gauge.load[:, 0] * both.load[:, 0], divide)
    log_z += _log_z_of(kept, sums, both, summed, gauge, null, load)
    log_z -= float(np.log1p(odds * through / np.maximum(weight, 1e-300))[awake == 2].sum())
    return estimate, min(max(log_z, certificate.log_z_low), certificate.log_z_high), settled


def _log_z_of(
    kept: KeptGraph,
    alone: Sums,
    both: Sums,
    summed: BoolArray,
    gauge: Gauge,
    null: FloatArray,
    load: FloatArray,
) -> float:
    """Log Z of all components, those that were summed with messages as they are then."""
    by_component = np.where(summed, both.component_log_z, alone.component_log_z)
    daughters, mothers = kept.plan.daughter_component < 0, kept.plan.mother_component < 0
    return float(by_component.sum() + np.log(null[daughters]).sum() + np.log(load[mothers, 0]).sum())


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
