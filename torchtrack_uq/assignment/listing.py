"""Marginals from lists of assignments: of the whole frame (the paper's AS), or of each component."""

import numpy as np

from torchtrack_uq.assignment.certificate import Marginal
from torchtrack_uq.assignment.elimination import to_problem_order
from torchtrack_uq.assignment.gap_model import GapModel, gap_model, gaps_up_to
from torchtrack_uq.assignment.k_best import BYTES_PER_ARC, build_ranking_graph, k_best
from torchtrack_uq.assignment.kernels.frontier import grown
from torchtrack_uq.assignment.kernels.ranked_paths import grown_float, rank_assignments
from torchtrack_uq.assignment.marginal_result import ComponentReport, Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import gauge_of
from torchtrack_uq.assignment.types import EliminationTooLargeError, FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel

LIST_ARCS = 500_000  # size of the frontier graphs beyond which component lists look less far
LIST_ARCS_PER_DAUGHTER = 100
FIRST_REACH = 12.0  # gap, in units of the temperature, up to which component lists look at first


@kernel
def list_components(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    factor_cost: FloatArray,
    bound: float,
    k: int,
) -> tuple[IntArray, FloatArray, IntArray, IntArray]:
    """The k best paths of every component on its own, at most `bound` behind its first.

    Returns:
        list_start: (C + 1,) int64, entries of each component.
        gap: gap of each entry.
        path_start: factors of each entry; those of a component's first entry are left out.
        path_factor: int64.
    """
    n_components = first_layer.size - 1
    list_start = np.zeros(n_components + 1, np.int64)
    gap = np.empty(1024)
    path_start = np.zeros(1024, np.int64)
    path_factor = np.empty(1024, np.int64)
    n = 0
    n_factors = 0
    for c in range(n_components):
        first, last = first_layer[c], first_layer[c + 1]
        v0, v1 = layer_start[first], layer_start[last]
        a0, a1 = arc_start[v0], arc_start[v1]
        layers = layer_start[first : last + 1] - v0
        one = np.array([0, last - first])
        gaps, starts, factors = rank_assignments(
            (arc_start[v0 : v1 + 1] - a0).astype(np.int32),
            (arc_to[a0:a1] - v0).astype(np.int32),
            arc_factor[a0:a1],
            layers,
            one,
            factor_cost,
            bound,
            k,
        )
        gap = grown_float(gap, n + gaps.size)
        path_start = grown(path_start, n + gaps.size + 1)
        path_factor = grown(path_factor, n_factors + factors.size)
        for r in range(gaps.size):
            gap[n + r] = gaps[r]
            path_start[n + r + 1] = n_factors + starts[r + 1]
        path_factor[n_factors : n_factors + factors.size] = factors
        n += gaps.size
        n_factors += factors.size
        list_start[c + 1] = n
    return list_start, gap[:n].copy(), path_start[: n + 1].copy(), path_factor[:n_factors].copy()


def largest_log_z(problem: AssignmentProblem, model: GapModel, temperature: float) -> float:
    """Upper bound of log Z in the gauge: every link gets a private copy of its mother (see docs).

    In logarithms throughout, so that it holds for scores of any size.
    """
    links = problem.links
    null, load = -model.null / temperature, -model.load / temperature

    def product(link: FloatArray, load: FloatArray) -> float:
        alone = null.copy()
        np.logaddexp.at(alone, links.daughter, link)
        return float(alone.sum() + load.sum())

    # every factor on its own, which holds always
    link = -model.link / temperature
    bound = product(link, load.max(axis=1, initial=-np.inf))
    empty = load[:, 0]
    if problem.is_convex and np.isfinite(empty).all():
        bound = min(bound, product(link + (load[:, 1] - empty)[links.mother], empty))
    return bound


def k_best_marginals(
    problem: AssignmentProblem, temperature: float, k: int, tolerance: float, memory_limit: int
) -> Marginals:
    """Marginals of the k best assignments of the whole frame (AS, eq. 3 and 4 of the paper).

    What the k leave (at most the share of one further assignment) is given to the daughter-wise softmax, so
    that no candidate link gets probability 0 by omission.
    """
    best = k_best(problem, k, memory_limit)
    scaled = (best.log_weight - best.log_weight[0]) / temperature
    weight = np.exp(scaled)
    log_listed = float(np.log(weight.sum()))
    weight /= weight.sum()
    missing = 0.0
    if not best.is_complete:
        missing = max(largest_log_z(problem, gap_model(problem), temperature) - log_listed, 0.0)
    covered = float(np.exp(-missing))
    parent = best.parent
    links = problem.links
    link = np.zeros(links.mother.size)
    null = np.zeros(problem.n_daughters)
    disappear = np.zeros(problem.n_mothers)
    divide = np.zeros(problem.n_mothers)
    for row, p in zip(parent, weight, strict=True):
        link += p * (row[links.daughter] == links.mother)
        null += p * (row < 0)
        load = np.bincount(row[row >= 0], minlength=problem.n_mothers)
        disappear += p * (load == 0)
        divide += p * (load == 2)
    left = min(1.0 - covered, 1.0 / (best.n_assignments + 1))
    soft_link, soft_null = _softmax(problem, temperature)
    marginal = Marginal(
        (1.0 - left) * link + left * soft_link, (1.0 - left) * null + left * soft_null, disappear, divide
    )
    bound = min(1.0, 1.0 - covered + left)
    return Marginals(
        *to_problem_order(problem, marginal), best.log_weight[0] / temperature + log_listed, covered, bound,
        bound <= tolerance, "k_best", log_z_error=missing,
    )  # fmt: skip


def _softmax(problem: AssignmentProblem, temperature: float) -> tuple[FloatArray, FloatArray]:
    """Daughter-wise softmax of link scores and appearance (eq. 5 of the paper with the null class)."""
    links = problem.links
    highest = problem.appear.copy()
    np.maximum.at(highest, links.daughter, links.score)
    link = np.exp((links.score - highest[links.daughter]) / temperature)
    null = np.exp((problem.appear - highest) / temperature)
    total = null + np.bincount(links.daughter, link, minlength=problem.n_daughters)
    return link / total[links.daughter], null / total


def component_k_best_marginals(
    problem: AssignmentProblem, temperature: float, k: int, tolerance: float, memory_limit: int
) -> Marginals:
    """Marginals of the product of per-component lists: k assignments of every component, all combinations.

    What a list may leave, at most the share of one further assignment of the component and of choices beyond the reach
    of the lists, is given to the daughter-wise softmax, so that no candidate link gets probability 0 by omission.
    """
    model = gap_model(problem)
    gauge = gauge_of(problem, model, temperature)
    reach = FIRST_REACH * temperature
    if problem.links.mother.size <= 2000:
        reach = np.inf
    max_arcs = min(memory_limit // BYTES_PER_ARC, LIST_ARCS + LIST_ARCS_PER_DAUGHTER * problem.n_daughters)
    while True:
        link_gap, null_gap = gaps_up_to(problem, model, reach)
        plan, graph = build_ranking_graph(problem, model, link_gap, null_gap, reach, max_arcs)
        if graph.complete.all():
            break
        if reach < 1e-3 * temperature:
            raise EliminationTooLargeError(
                f"component lists need frontier graphs beyond memory_limit={memory_limit} bytes",
                "raise the limit",
                "ranking",
            )
        reach = FIRST_REACH * temperature if reach == np.inf else 0.7 * reach
    list_start, gap, path_start, path_factor = list_components(
        graph.arc_start,
        graph.arc_to,
        graph.arc_factor,
        graph.layer_start,
        graph.first_layer,
        model.factor_cost,
        reach,
        k,
    )
    n_components = plan.width.size
    component = np.repeat(np.arange(n_components), np.diff(list_start))
    weight = np.exp(-gap / temperature)
    total = np.bincount(component, weight, minlength=n_components)
    share = weight / total[component]
    left = _left_by_lists(plan.daughter_component, np.diff(list_start), share, list_start, k)
    if reach < np.inf:
        left = np.maximum(left, np.exp(-reach / temperature))
    listed = _from_lists(problem, model, list_start, share, path_start, path_factor)
    soft_link, soft_null = _softmax(problem, temperature)
    at_link = left[problem.links.daughter]
    marginal = listed._replace(
        link=(1.0 - at_link) * listed.link + at_link * soft_link,
        null=(1.0 - left) * listed.null + left * soft_null,
    )
    log_listed = float(np.log(total).sum())
    listed_all = reach == np.inf and bool((np.diff(list_start) < k).all())
    missing = 0.0
    if not listed_all:
        missing = max(largest_log_z(problem, model, temperature) - log_listed, 0.0)
    covered = float(np.exp(-missing))
    bound = min(1.0, 1.0 - covered + float(left.max(initial=0.0)))
    cells = [
        np.bincount(of[of >= 0], minlength=n_components)
        for of in (plan.daughter_component, plan.mother_component)
    ]
    report = ComponentReport(
        cells[0],
        cells[1],
        plan.width,
        np.full(n_components, bound <= tolerance),
        np.full(n_components, bound),
        np.full(n_components, "component_k_best"),
    )
    return Marginals(
        *to_problem_order(problem, marginal), gauge.log_scale + log_listed, covered, bound,
        bound <= tolerance, "component_k_best", log_z_error=missing, components=report,
    )  # fmt: skip


def _left_by_lists(
    component: IntArray, length: IntArray, share: FloatArray, list_start: IntArray, k: int
) -> FloatArray:
    """(N,) largest share of a further assignment of each daughter's component, where its list may be incomplete."""
    left = np.zeros(length.size + 1)  # the last for cells outside all components, at -1
    full = np.flatnonzero(length >= k)
    last = share[list_start[full + 1] - 1]
    left[full] = last / (1.0 + last)
    shares: FloatArray = left[component]
    return shares


def _from_lists(
    problem: AssignmentProblem,
    model: GapModel,
    list_start: IntArray,
    share: FloatArray,
    path_start: IntArray,
    path_factor: IntArray,
) -> Marginal:
    """Probabilities of all choices: the MAP's, changed where components' later entries differ."""
    links, solution = problem.links, model.solution
    n_links, n_daughters = links.mother.size, problem.n_daughters
    entry = np.repeat(np.arange(share.size), np.diff(path_start))
    listed = np.zeros(n_links + n_daughters + 3 * problem.n_mothers)
    np.add.at(listed, path_factor, share[entry])
    # a component's first entry is the MAP there; every cell it holds loses what the later entries have
    at_link, at_null = listed[:n_links], listed[n_links : n_links + n_daughters]
    at_load = listed[n_links + n_daughters :].reshape(-1, 3)
    moved = at_null + np.bincount(links.daughter, at_link, minlength=n_daughters)
    link, null, load = at_link.copy(), at_null.copy(), at_load.copy()
    linked = solution.chosen >= 0
    link[solution.chosen[linked]] += 1.0 - moved[linked]
    null[~linked] += 1.0 - moved[~linked]
    load[np.arange(problem.n_mothers), solution.load] += 1.0 - at_load.sum(axis=1)
    return Marginal(link, null, load[:, 0], load[:, 2])
