"""`k_best`: the K best distinct assignments of a frame pair, in descending order."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from torchtrack_uq.assignment.gap_model import GapModel, gap_model, gaps_up_to
from torchtrack_uq.assignment.kernels.components import EliminationPlan, label_components, plan_elimination
from torchtrack_uq.assignment.kernels.frontier import FrontierGraph, build_frontier_graph
from torchtrack_uq.assignment.kernels.ranked_paths import rank_assignments
from torchtrack_uq.assignment.map_solver import assignment_of
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.solution import Assignment
from torchtrack_uq.assignment.types import EliminationTooLargeError, FloatArray, IntArray

MEMORY_LIMIT = 1 << 29  # bytes for the frontier graphs of one frame pair
ROUNDING = 1e-9  # gaps of one assignment that are summed in different orders differ by less
BYTES_PER_ARC = 48  # arcs, nodes and list entries of the frontier graph, measured


@dataclass(frozen=True, eq=False)
class KBest:
    """The K' <= k best assignments, all distinct, best first.

    Kept as differences to the MAP assignment, which is what most of them are alike in; `parent` writes them
    out.

    Attributes:
        map: the best assignment.
        log_weight: (K',) float64, L(A) of each assignment, descending, in nats.
        n_assignments: K', smaller than k only if there are no more feasible assignments.
        is_complete: whether these are all feasible assignments.
        change_start: (K' + 1,) int64, changes of assignment r are rows change_start[r] .. change_start[r + 1] - 1.
        changed_daughter: (D,) int64, daughter whose mother may differ from the MAP's.
        changed_parent: (D,) int64, its mother there, or -1.

    Example:
        >>> from torchtrack_uq.assignment import AssignmentProblem
        >>> best = k_best(AssignmentProblem.build([0, 1], [0, 0], [-1, -2], 2, 1, appear=-9), 2)
        >>> best.parent.tolist(), best.log_weight.tolist()
        ([[0], [1]], [-1.0, -2.0])
    """

    map: Assignment
    log_weight: FloatArray
    is_complete: bool
    change_start: IntArray = field(repr=False)
    changed_daughter: IntArray = field(repr=False)
    changed_parent: IntArray = field(repr=False)

    @property
    def n_assignments(self) -> int:
        """Number of assignments K'."""
        return self.log_weight.size

    @cached_property
    def parent(self) -> IntArray:
        """(K', N) int64, mother of each daughter in each assignment, or -1; written out on first use."""
        parent = np.repeat(self.map.parent[None, :], self.n_assignments, axis=0)
        row = np.repeat(np.arange(self.n_assignments), np.diff(self.change_start))
        parent[row, self.changed_daughter] = self.changed_parent
        return parent


def k_best(problem: AssignmentProblem, k: int, memory_limit: int = MEMORY_LIMIT) -> KBest:
    """The k best distinct assignments of the whole frame pair, in descending order of log-weight.

    Assignments are ranked as parent functions, so none is listed twice (copied mothers list an assignment
    with c dividing mothers 2^c times). Options whose best assignment (min-marginal) lies below a bound on
    the k-th gap are dropped; the components that remain are turned into frontier graphs, whose paths are
    listed lazily in order, and the lists are merged. The bound grows until the k-th assignment lies within
    it, so the result is exact. Ranking assignments goes back to Murty, Operations Research 16 (1968);
    inherited duals to Miller, Stone & Cox, IEEE Trans. AES 33 (1997).

    Args:
        problem: the frame pair; every mother with two candidates needs disappear + divide <= 0.
        k: how many assignments, at least 1.
        memory_limit: bytes that the frontier graphs may take.

    Returns:
        KBest with `.parent` (K', N) int64 and `.log_weight` (K',) descending; K' < k only if fewer are
        feasible.

    Raises:
        ValueError: k < 1.
        NonConvexDivisionError: a mother's second daughter is cheaper than its first.
        InfeasibleProblemError: -inf event scores leave no feasible assignment.
        EliminationTooLargeError: a component's frontier graph would exceed `memory_limit`.

    Example:
        >>> problem = AssignmentProblem.build([0, 0], [0, 1], [-1, -2], 1, 2, appear=-5, divide=-2)
        >>> k_best(problem, 10).log_weight
        array([ -5.,  -6.,  -7., -10.])
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    model = gap_model(problem)
    gap, path_start, path_factor, is_complete = _rank(problem, model, k, memory_limit)
    links = problem.links
    is_link = path_factor < links.mother.size
    daughter = np.where(is_link, 0, path_factor - links.mother.size)
    daughter[is_link] = links.daughter[path_factor[is_link]]
    parent = np.full(path_factor.size, -1, np.int64)
    parent[is_link] = links.mother[path_factor[is_link]]
    is_daughter = path_factor < links.mother.size + problem.n_daughters
    kept_before = np.concatenate([[0], np.cumsum(is_daughter)])
    best = assignment_of(problem, model.solution)
    return KBest(
        best,
        best.log_weight - np.maximum.accumulate(gap),
        is_complete,
        kept_before[path_start],
        daughter[is_daughter],
        parent[is_daughter],
    )


def _rank(
    problem: AssignmentProblem, model: GapModel, k: int, memory_limit: int
) -> tuple[FloatArray, IntArray, IntArray, bool]:
    """Gaps and paths of the k best assignments, and whether these are all."""
    reduced = np.sort(np.concatenate([model.link, model.null]))
    reduced = reduced[(reduced > 1e-12) & (reduced < np.inf)]
    rank = 8 * int(np.ceil(np.log2(k + 1)))
    bound = float(reduced[rank]) if rank < reduced.size else np.inf
    largest_gap = float(reduced.sum() + model.load[np.isfinite(model.load)].sum())
    trust_reach = True
    while True:
        link_gap, null_gap = gaps_up_to(problem, model, bound)
        reach = _reach_of_single_changes(problem, model, link_gap, null_gap, bound, k) + ROUNDING
        final = min(bound, reach) if trust_reach else bound
        link_gap[link_gap > final] = np.inf
        null_gap[null_gap > final] = np.inf
        gap, path_start, path_factor = _rank_up_to(problem, model, link_gap, null_gap, final, k, memory_limit)
        if gap.size == k or final == np.inf:
            return gap, path_start, path_factor, gap.size < k
        if final < bound:  # rounding alone can lead here
            trust_reach = False
            continue
        # the number of assignments grows about exponentially with the bound: aim at k, but step with care
        growth = float(np.log(k + 1) / np.log(gap.size + 1))
        bound *= min(max(1.1, 1.05 * growth), 2.0)
        if growth > 2.0 and 2 * rank < reduced.size:
            rank *= 2
            bound = max(bound, float(reduced[rank]))
        if bound > largest_gap:
            bound = np.inf


def _plan(
    problem: AssignmentProblem, model: GapModel, link_gap: FloatArray, null_gap: FloatArray
) -> tuple[EliminationPlan, IntArray]:
    """Elimination plan of the daughters with more than one option, and the loads that the others give."""
    links = problem.links
    keep = link_gap < np.inf
    is_open = _options(problem, link_gap, null_gap) > 1
    plan = EliminationPlan(
        *plan_elimination(links.start, links.mother, problem.n_mothers, keep, is_open, np.inf, np.inf, 0.0)
    )
    fixed = model.solution.chosen[~is_open]
    base_load = np.bincount(links.mother[fixed[fixed >= 0]], minlength=problem.n_mothers)
    return plan, base_load


def _options(problem: AssignmentProblem, link_gap: FloatArray, null_gap: FloatArray) -> IntArray:
    """(N,) number of options of finite gap of each daughter."""
    kept = problem.links.daughter[link_gap < np.inf]
    options: IntArray = np.bincount(kept, minlength=problem.n_daughters) + (null_gap < np.inf)
    return options


def _reach_of_single_changes(
    problem: AssignmentProblem,
    model: GapModel,
    link_gap: FloatArray,
    null_gap: FloatArray,
    bound: float,
    k: int,
) -> float:
    """A gap within which k assignments are known to lie: those that combine one option's best per component.

    Every option with a finite gap has an assignment of that gap, which differs from the MAP within the
    option's component only; different gaps are different assignments, and components combine freely.
    """
    links = problem.links
    is_open = _options(problem, link_gap, null_gap) > 1
    component_of, _, n_components = label_components(
        links.start, links.mother, link_gap < np.inf, is_open, problem.n_mothers
    )
    is_link = (link_gap > 0.0) & (link_gap < np.inf)
    is_null = (null_gap > 0.0) & (null_gap < np.inf)
    component = np.concatenate([component_of[links.daughter[is_link]], component_of[is_null]])
    gap = np.concatenate([link_gap[is_link], null_gap[is_null]])
    if n_components == 0 or gap.size == 0:
        return float("inf")
    order = np.lexsort((gap, component))
    gap, component = gap[order], component[order]
    # gaps that rounding alone tells apart count once
    new = np.concatenate([[True], (np.diff(component) > 0) | (np.diff(gap) > 1e-9)])
    gap, component = gap[new], component[new]
    # one frontier graph per component: a node with one arc for the MAP and one per gap, and its end
    arcs = np.bincount(component, minlength=n_components) + 1
    arc_start = np.zeros(2 * n_components + 1, np.int32)
    arc_start[1::2] = np.cumsum(arcs)
    arc_start[2::2] = arc_start[1::2]
    arc_to = np.repeat(2 * np.arange(n_components, dtype=np.int32) + 1, arcs)
    factor_cost = np.zeros(arc_to.size)
    is_change = np.ones(arc_to.size, dtype=bool)
    is_change[arc_start[0:-1:2]] = False
    factor_cost[is_change] = gap
    layers = np.arange(2 * n_components + 1)
    sums, _, _ = rank_assignments(
        arc_start,
        arc_to,
        np.arange(arc_to.size, dtype=np.int32),
        layers,
        layers[::2].copy(),
        factor_cost,
        bound,
        k,
    )
    return float(sums[-1]) if sums.size == k else float("inf")


def _rank_up_to(
    problem: AssignmentProblem,
    model: GapModel,
    link_gap: FloatArray,
    null_gap: FloatArray,
    bound: float,
    k: int,
    memory_limit: int,
) -> tuple[FloatArray, IntArray, IntArray]:
    """The k best assignments among those with gap <= bound."""
    plan, graph = build_ranking_graph(
        problem, model, link_gap, null_gap, bound, memory_limit // BYTES_PER_ARC
    )
    if not graph.complete.all():
        c = int(np.argmin(graph.complete))
        n_cells = int(np.count_nonzero(plan.daughter_component == c))
        raise EliminationTooLargeError(
            f"ranking {k} assignments needs the frontier graph of a component with {n_cells} daughters and a "
            f"frontier of {plan.width[c]} mothers, which exceeds memory_limit={memory_limit} bytes",
            "raise it or ask for fewer assignments",
            "ranking",
        )
    return rank_assignments(
        graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer,
        model.factor_cost, bound, k,
    )  # fmt: skip


def build_ranking_graph(
    problem: AssignmentProblem,
    model: GapModel,
    link_gap: FloatArray,
    null_gap: FloatArray,
    bound: float,
    max_arcs: int,
) -> tuple[EliminationPlan, FrontierGraph]:
    """Frontier graphs of all assignments with gap <= bound, over the options of finite gap."""
    plan, base_load = _plan(problem, model, link_gap, null_gap)
    links = problem.links
    graph = FrontierGraph(
        *build_frontier_graph(
            links.start, links.mother, link_gap < np.inf, null_gap < np.inf, base_load, plan.step,
            plan.step_start, plan.position, plan.width, model.factor_cost, bound, max_arcs,
            model.factor_cost, 0.0,
        )
    )  # fmt: skip
    return plan, graph
