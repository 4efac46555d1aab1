"""An estimate for frames whose components are too large: belief propagation between exactly summed clusters.

Dropped links carry messages as in belief propagation, kept ones are summed exactly. With every link dropped
this is `belief`; with none it is exact elimination. (A form of generalised belief propagation: Yedidia,
Freeman & Weiss, NeurIPS 2000.) What it returns is an estimate without proof.
"""

import numpy as np

from torchtrack_uq.assignment.certificate import Certificate, Marginal
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, KeptGraph, Sums, sum_kept
from torchtrack_uq.assignment.types import FloatArray, IntArray

SWEEPS = 60
DAMPING = 0.4
CONVERGED = 1e-5


def estimate_by_clusters(
    problem: AssignmentProblem,
    gauge: Gauge,
    kept: KeptGraph,
    sums: Sums,
    certificate: Certificate,
    least: float = 0.0,
) -> tuple[Marginal, float, bool]:
    """Marginals with messages on the dropped links, an estimate of log Z, and whether these settled.

    Messages of links whose odds are at most `least` at both ends stay as they are at first, and the others have settled
    once they change by a hundred times that or less.
    """
    dropped = certificate.dropped
    mother, daughter = problem.links.mother[dropped], problem.links.daughter[dropped]
    weight = gauge.link[dropped]
    odds = weight * sums.null[daughter]  # daughter to mother: y = w / D without this link
    through = weight * sums.ratio_mother[mother]  # mother to daughter: w R without this link
    still = (odds <= least) & (through * sums.null[daughter] <= least)
    rest = dropped[still], daughter[still], through[still]
    null_with_rest = gauge.null + np.bincount(rest[1], rest[2], minlength=problem.n_daughters)
    odds_of_rest = np.zeros(problem.n_mothers)
    odds_of_rest += np.bincount(mother[still], odds[still], minlength=problem.n_mothers)
    dropped, mother, daughter = dropped[~still], mother[~still], daughter[~still]
    weight, odds, through = weight[~still], odds[~still], through[~still]
    before = np.full(problem.n_daughters, np.inf)
    settled = False
    for _ in range(SWEEPS):
        e1, e2, load = _with_odds(problem, gauge, mother, odds, odds_of_rest)
        null = null_with_rest + np.bincount(daughter, through, minlength=problem.n_daughters)
        both = sum_kept(problem, kept, gauge.link, null, load)
        own_null = gauge.null * both.null
        link = gauge.link * both.link
        link[dropped] = through * both.null[daughter]
        link[rest[0]] = rest[2] * both.null[rest[1]]
        now = np.bincount(problem.links.daughter, link * link, minlength=problem.n_daughters) + own_null
        settled = bool(np.abs(now - before).max(initial=0.0) < max(CONVERGED, 100 * least))
        if settled:
            break
        before = now
        # messages without what came back along the same link
        others = np.maximum(1.0 / np.maximum(both.null[daughter], 1e-200) - through, 1e-200)
        o1 = np.maximum(e1[mother] - odds, 0.0)
        o2 = np.maximum(e2[mother] - odds * o1, 0.0)
        g, m = gauge.load[mother], both.load[mother]
        room = m[:, 0] * (g[:, 1] + o1 * g[:, 2]) + m[:, 1] * g[:, 2]
        all_of = (
            m[:, 0] * (g[:, 0] + o1 * g[:, 1] + o2 * g[:, 2])
            + m[:, 1] * (g[:, 1] + o1 * g[:, 2])
            + m[:, 2] * g[:, 2]
        )
        odds = DAMPING * odds + (1.0 - DAMPING) * weight / others
        through = DAMPING * through + (1.0 - DAMPING) * weight * room / all_of
    divide = gauge.load[:, 2] * (both.load[:, 2] + e1 * both.load[:, 1] + e2 * both.load[:, 0])
    estimate = Marginal(link, own_null, gauge.load[:, 0] * both.load[:, 0], divide)
    log_z = both.log_z - float(np.log1p(odds * through / np.maximum(weight, 1e-300)).sum())
    return estimate, min(max(log_z, certificate.log_z_low), certificate.log_z_high), settled


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
