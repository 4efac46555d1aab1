"""Marginals by elimination: exact on small components, with a proved bound where links had to be dropped."""

import numpy as np

from torchtrack_uq.assignment.certificate import Certificate, Marginal, marginals_alone
from torchtrack_uq.assignment.dropping import (
    BYTES_PER_ARC,
    Elimination,
    drop_and_sum,
    odds_if_free,
    put_back,
)
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.kernels.log_sums import log_path_sums
from torchtrack_uq.assignment.marginal_result import ComponentReport, Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    LARGEST_LOG,
    KeptGraph,
    build_kept_graph,
    gauge_of,
    log_weights,
    plan_if_narrow,
    sum_kept,
)
from torchtrack_uq.assignment.taking_back import take_back
from torchtrack_uq.assignment.types import BoolArray, EliminationTooLargeError, FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel

SMALL = 2_000  # links up to which elimination without dropping is tried first
SMALL_ARCS = 200_000
SMALL_ARCS_PER_DAUGHTER = 400
WIDE = 8  # candidates a daughter beyond which no large graph is narrow: it has 3^8 states and more
ROUGHLY = 4.0  # how much larger a graph may be expected, since not all states that are expected occur
TIGHT = (
    1e-6  # share of the tolerance to which small frames are summed first, for the sake of log-probabilities
)
FEW = 5_000  # links up to which the most cautious attempt comes first
ATTEMPTS = 4  # how often the dropped links are chosen anew before giving up
NOT_CONVEX = (
    "lower the divide scores until disappear + divide is at most 0 for every mother, or use method bp"
)


def exact_marginals(
    problem: AssignmentProblem, temperature: float, tolerance: float, memory_limit: int
) -> Marginals:
    """Marginals with error_bound <= tolerance, or `EliminationTooLargeError`."""
    unpruned = _without_dropping(problem, temperature, tolerance, memory_limit)
    if unpruned is not None:
        return unpruned
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    wanted = odds_if_free(problem, model, gauge, temperature)
    why = f"links may be dropped only up to tolerance={tolerance}"
    for share, limit, decisive in _attempts(problem, memory_limit):
        result = drop_and_sum(problem, gauge, model.solution.chosen, wanted, tolerance * share, limit)
        refined = result if isinstance(result, KeptGraph) else take_back(problem, result, tolerance, limit)
        if isinstance(refined, KeptGraph):
            if decisive:
                raise too_large_error(refined, limit, why)
        elif refined is not None:
            estimate, log_z = put_back(problem, gauge, refined.sums, refined.certificate, tolerance)
            found = finish(problem, refined, estimate, log_z, tolerance)
            if found.exact:
                return found
    raise EliminationTooLargeError(
        f"no choice of dropped links was proved to change the marginals by at most tolerance={tolerance}",
        "use method auto for an estimate, or tolerance=0 to drop none",
    )


def _attempts(problem: AssignmentProblem, memory_limit: int) -> list[tuple[float, int, bool]]:
    """Share of the tolerance to drop links for, memory limit, and whether exceeding it is final.

    Each attempt drops fewer links. In a frame with few links the calls around the kernels cost more than
    the kernels, so there a cautious first attempt, which mostly is the last, saves time.
    """
    usual = [(4.0**-k, memory_limit, True) for k in range(ATTEMPTS)]
    if problem.links.mother.size > FEW:
        return usual
    small = min(memory_limit, SMALL_ARCS * BYTES_PER_ARC)
    return [(TIGHT, small, False), (4.0 ** (1 - ATTEMPTS), small, False), *usual]


def _without_dropping(
    problem: AssignmentProblem, temperature: float, tolerance: float, memory_limit: int
) -> Marginals | None:
    """Marginals of the problem as it is, or None if that is better not tried."""
    must = tolerance == 0.0 or not problem.is_convex
    n_links = problem.links.mother.size
    keep = np.ones(n_links, dtype=bool)
    most = memory_limit // BYTES_PER_ARC
    some = most if must else min(SMALL_ARCS + SMALL_ARCS_PER_DAUGHTER * problem.n_daughters, most)
    plan = None
    if not must and n_links > SMALL:
        # rows, islands and other narrow graphs are summed as they are, however many cells they have
        if n_links <= WIDE * problem.n_daughters:
            plan = plan_if_narrow(problem, keep, ROUGHLY * some)
        if plan is None:
            return None
    model = gap_model(problem, allow_non_convex=True)
    gauge = gauge_of(problem, model, temperature)
    kept = build_kept_graph(problem, keep, gauge, some, plan=plan)
    if not kept.graph.complete.all():
        if must:
            why = "no link may be dropped " + (
                "with tolerance=0"
                if problem.is_convex
                else "where a second daughter is likelier than a first"
            )
            raise too_large_error(kept, memory_limit, why, None if problem.is_convex else NOT_CONVEX)
        return None
    if float(model.load.min(initial=0.0)) < -LARGEST_LOG * temperature:
        alone, log_z = sum_in_logarithms(problem, kept, log_weights(model, temperature))
    else:
        sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
        alone, log_z = marginals_alone(gauge, kept, sums), sums.log_z
    report = _report(problem, kept, np.zeros(kept.plan.width.size), 0.0)
    return Marginals(
        *to_problem_order(problem, alone), gauge.log_scale + log_z, 1.0, 0.0, True, "exact", log_z_error=0.0,
        components=report, kept=in_problem_order(problem, keep),
    )  # fmt: skip


def sum_in_logarithms(
    problem: AssignmentProblem, kept: KeptGraph, log_weight: FloatArray
) -> tuple[Marginal, float]:
    """Marginals and log Z of the kept links where the weights do not fit into floating point numbers."""
    graph, plan = kept.graph, kept.plan
    n_links, n = problem.links.mother.size, problem.n_daughters
    probability, component_log_z = log_path_sums(
        graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer, log_weight
    )
    null, load = probability[n_links : n_links + n], probability[n_links + n :].reshape(-1, 3)
    alone, idle = plan.daughter_component < 0, plan.mother_component < 0
    null[alone], load[idle] = 1.0, (1.0, 0.0, 0.0)
    log_z = float(component_log_z.sum() + log_weight[n_links : n_links + n][alone].sum())
    log_z += float(log_weight[n_links + n :].reshape(-1, 3)[idle, 0].sum())
    return Marginal(probability[:n_links], null, load[:, 0], load[:, 2]), log_z


def to_problem_order(
    problem: AssignmentProblem, marginal: Marginal
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Marginals with links in the problem's order; forbidden links get 0, rounding is clipped to [0, 1]."""
    link = np.zeros(problem.n_links)
    link[problem.links.link] = marginal.link
    parts = (link, marginal.null, marginal.disappear, marginal.divide)
    clipped = tuple(np.clip(part, 0.0, 1.0) for part in parts)
    return clipped[0], clipped[1], clipped[2], clipped[3]


@kernel
def put_largest_shift(error: FloatArray, component: IntArray, value: FloatArray, other: FloatArray) -> None:
    """Raise `error` of each component to the largest difference between two values of its choices."""
    for row in range(component.size):
        shift = abs(value[row] - other[row])
        if shift > error[component[row]] or shift != shift:  # NaN stays
            error[component[row]] = shift


def finish(
    problem: AssignmentProblem,
    result: Elimination,
    estimate: Marginal,
    log_z: float,
    tolerance: float,
    clustered: BoolArray | None = None,
) -> Marginals:
    """Say what is proved about an estimate of the marginals; some components may be `clustered` (K,)."""
    gauge, kept, _, certificate = result
    alone = certificate.alone
    links = problem.links
    of_daughter, of_mother = certificate.daughter_component, certificate.mother_component
    error = np.zeros(certificate.component_error.size)
    linked = np.flatnonzero(kept.keep)
    put_largest_shift(error, of_daughter[links.daughter[linked]], estimate.link[linked], alone.link[linked])
    put_largest_shift(error, of_daughter, estimate.null, alone.null)
    put_largest_shift(error, of_mother, estimate.disappear, alone.disappear)
    put_largest_shift(error, of_mother, estimate.divide, alone.divide)
    error += certificate.component_error
    dropped_error = np.maximum(estimate.link[certificate.dropped], certificate.dropped_high)
    unproved = ~np.isfinite(certificate.component_error)
    if unproved.any():
        of = links.daughter[certificate.dropped], links.mother[certificate.dropped]
        dropped_error[unproved[of_daughter[of[0]]] | unproved[of_mother[of[1]]]] = np.inf
    at_daughter = error[of_daughter]
    at_daughter[np.isnan(at_daughter)] = np.inf
    np.maximum.at(at_daughter, links.daughter[certificate.dropped], np.nan_to_num(dropped_error, nan=np.inf))
    bound = float(max(error.max(initial=0.0), at_daughter.max(initial=0.0)))
    ratio = certificate.log_z_low - certificate.log_z_high  # NaN where neither is proved
    left = 1.0 - float(certificate.dropped_high.sum()) - certificate.lost
    by_links = left if left >= 0.0 else 0.0  # NaN proves nothing
    covered = max(by_links, float(np.exp(ratio)) if ratio <= 0.0 else 0.0)
    bound = bound if bound < 1.0 else float("inf")
    exact = bound <= tolerance
    report = _report(problem, kept, error[: kept.plan.width.size], tolerance, clustered)
    return Marginals(
        *to_problem_order(problem, estimate), gauge.log_scale + log_z, covered, bound, exact,
        "exact" if exact else "cluster_bp", log_z_error=_log_z_error(certificate, log_z),
        daughter_error=np.where(at_daughter < 1.0, at_daughter, np.inf),
        mother_error=np.where(error[of_mother] < 1.0, error[of_mother], np.inf),
        components=report, kept=in_problem_order(problem, kept.keep),
    )  # fmt: skip


def _log_z_error(certificate: Certificate, log_z: float) -> float:
    error = max(certificate.log_z_high - log_z, log_z - certificate.log_z_low)
    return error if error >= 0.0 else float("inf")  # NaN where nothing is proved


def in_problem_order(problem: AssignmentProblem, keep: BoolArray) -> BoolArray:
    """(E,) bool, which of the problem's links are kept, from (F,) by place."""
    kept = np.zeros(problem.n_links, dtype=bool)
    kept[problem.links.link[keep]] = True
    return kept


def _report(
    problem: AssignmentProblem,
    kept: KeptGraph,
    error: FloatArray,
    tolerance: float,
    clustered: BoolArray | None = None,
) -> ComponentReport:
    plan = kept.plan
    n = plan.width.size
    daughters = np.bincount(plan.daughter_component[plan.daughter_component >= 0], minlength=n)
    mothers = np.bincount(plan.mother_component[plan.mother_component >= 0], minlength=n)
    method = np.full(n, "exact") if clustered is None else np.where(clustered[:n], "cluster_bp", "exact")
    return ComponentReport(daughters, mothers, plan.width, error <= tolerance, error, method)


def too_large_error(
    kept: KeptGraph, memory_limit: int, why: str, advice: str | None = None, task: str = "method exact"
) -> EliminationTooLargeError:
    """The error that names the widest component that did not fit."""
    plan = kept.plan
    incomplete = np.flatnonzero(~kept.graph.complete)
    c = int(incomplete[np.argmax(plan.width[incomplete])])
    n_daughters = int(np.count_nonzero(plan.daughter_component == c))
    n_mothers = int(np.count_nonzero(plan.mother_component == c))
    return EliminationTooLargeError(
        f"exact elimination of a component with {n_daughters} daughters and {n_mothers} mothers (frontier of "
        f"{plan.width[c]} mothers) exceeds memory_limit={memory_limit} bytes, and {why}",
        "raise the limit or the tolerance, or use method auto" if advice is None else advice,
        task,
    )
