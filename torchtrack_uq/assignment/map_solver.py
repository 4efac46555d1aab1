"""`solve_map`: the assignment of largest log-weight, by sparse shortest augmenting paths."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.augmenting_paths import NULL, UNASSIGNED, assign_waiting
from torchtrack_uq.assignment.kernels.perturbed import gather_links, sizes_of, solve_perturbed
from torchtrack_uq.assignment.kernels.warm_start import repair
from torchtrack_uq.assignment.problem import LARGEST_SCORE, AssignmentProblem
from torchtrack_uq.assignment.solution import Assignment, log_weight_of
from torchtrack_uq.assignment.types import (
    FloatArray,
    InfeasibleProblemError,
    IntArray,
    NonConvexDivisionError,
)


class Costs(NamedTuple):
    """A problem in costs (= -score), with a finite stand-in for mothers that must have a daughter.

    Attributes:
        link: (F,) float64, cost of each place of `problem.links`.
        null: (N,) float64, cost of having no mother; inf where forbidden.
        slot: (M, 2) float64, cost of a mother's first and second daughter, f(1) - f(0) and f(2) - f(1).
    """

    link: FloatArray
    null: FloatArray
    slot: FloatArray


class DualSolution(NamedTuple):
    """A MAP assignment with the prices that prove it; see `kernels.augmenting_paths` for the conditions they satisfy.

    Attributes:
        chosen: (N,) int64, place of each daughter's link, or -1.
        load: (M,) int64, number of daughters per mother.
        held: (M, 2) int64, its daughters, -1 where there is none.
        price: (M,) float64.
        value: (N,) float64, cost of each daughter's option at these prices.
    """

    chosen: IntArray
    load: IntArray
    held: IntArray
    price: FloatArray
    value: FloatArray


def costs_of(problem: AssignmentProblem, forced: float | None = None) -> Costs:
    """Costs of a problem with convex division scores; `NonConvexDivisionError` names the mothers if not.

    `forced` is what it costs a mother to have no daughter although she must; by default more than any two assignments
    differ by.
    """
    if not problem.is_convex:
        mothers = np.flatnonzero(problem.non_convex_mothers)
        shown = ", ".join(str(i) for i in mothers[:5]) + (", ..." if mothers.size > 5 else "")
        raise NonConvexDivisionError(
            f"disappear + divide must be at most 0 for every mother that can divide, got a positive sum at "
            f"{mothers.size} of them (mothers {shown}); lower their divide score, or use marginals(method='exact')."
        )
    null = -problem.appear
    first = problem.disappear.copy()
    must = np.isneginf(first)
    if must.any():
        first[must] = -(_dominating_cost(problem) if forced is None else forced)
    return Costs(-problem.links.score, null, np.column_stack([first, -problem.possible_divide]))


def _dominating_cost(problem: AssignmentProblem) -> float:
    """A cost larger than the difference between any two assignments."""
    total = 1.0
    for scores in (problem.links.score, problem.appear, problem.disappear, problem.divide):
        total += 2.0 * float(np.abs(scores[np.isfinite(scores)]).sum())
    return total


def solve_duals(
    problem: AssignmentProblem, costs: Costs, warm_start: Assignment | None = None
) -> DualSolution:
    """Solve for the MAP assignment and its prices; raises `InfeasibleProblemError`."""
    links = problem.links
    if warm_start is not None:
        state = _adopt(problem, costs, warm_start)
        stuck = repair(
            links.start, links.mother, links.daughter, costs.link, costs.null, costs.slot, links.mother_start,
            links.by_mother, state.price, state.chosen, state.load, state.held, state.value,
        )  # fmt: skip
    else:
        state = DualSolution(
            chosen=np.full(problem.n_daughters, UNASSIGNED, np.int64),
            load=np.zeros(problem.n_mothers, np.int64),
            held=np.full((problem.n_mothers, 2), -1, np.int64),
            price=costs.slot[:, 0].copy(),
            value=np.zeros(problem.n_daughters),
        )
        stuck = assign_waiting(
            links.start, links.mother, links.daughter, costs.link, costs.null, costs.slot,
            state.price, state.chosen, state.load, state.held, state.value,
        )  # fmt: skip
    _check_feasible(problem, stuck, state.load)
    return state


def _adopt(problem: AssignmentProblem, costs: Costs, warm_start: Assignment) -> DualSolution:
    """State of the search that starts from another assignment of the same candidate links."""
    if warm_start.parent.shape != (problem.n_daughters,) or warm_start.mother_price.shape != (
        problem.n_mothers,
    ):
        raise ValueError(
            f"warm_start must have {problem.n_daughters} daughters and {problem.n_mothers} mothers, got "
            f"{warm_start.parent.size} and {warm_start.mother_price.size}; solve the same frame pair first."
        )
    links = problem.links
    chosen = np.full(problem.n_daughters, NULL, np.int64)
    kept = np.flatnonzero(warm_start.parent[links.daughter] == links.mother)
    chosen[links.daughter[kept]] = kept
    chosen[(warm_start.parent >= 0) & (chosen < 0)] = UNASSIGNED
    load = np.zeros(problem.n_mothers, np.int64)
    held = np.full((problem.n_mothers, 2), -1, np.int64)
    order = np.argsort(links.mother[kept], kind="stable")
    mother, daughter = links.mother[kept][order], links.daughter[kept][order]
    second = np.concatenate([[False], np.diff(mother) == 0]) if mother.size else np.zeros(0, dtype=bool)
    held[mother, second.astype(np.int64)] = daughter
    load += np.bincount(mother, minlength=problem.n_mothers)
    return DualSolution(chosen, load, held, warm_start.mother_price.copy(), np.zeros(problem.n_daughters))


def _check_feasible(problem: AssignmentProblem, stuck: int, load: IntArray) -> None:
    if stuck >= 0:
        raise InfeasibleProblemError(
            f"daughter {stuck} must have a mother (appear = -inf) but none of its "
            f"{np.count_nonzero(problem.daughter == stuck)} candidate mothers can be freed; "
            "give it a finite appear score or more candidate links."
        )
    alone = np.isneginf(problem.disappear) & (load == 0)
    if alone.any():
        raise InfeasibleProblemError(
            f"mother {int(np.argmax(alone))} must have a daughter (disappear = -inf) but none of its "
            f"candidate "
            "daughters can be had; give it a finite disappear score or more candidate links."
        )


def solve_map(problem: AssignmentProblem, warm_start: Assignment | None = None) -> Assignment:
    """The assignment of largest log-weight (MAP), argmax of L(A).

    Sparse successive shortest augmenting paths with two places per mother (f(0), f(1), f(2) convex) and a
    null option per daughter; no dense matrix is made. Each search stays in the neighbourhood of its
    daughter, so the work grows linearly with the frame. Ties between assignments of equal log-weight are
    resolved the same way on every run.

    Args:
        problem: the frame pair; every mother with two candidates needs disappear + divide <= 0.
        warm_start: the `Assignment` of a frame pair with the same daughters and mothers and similar scores;
            only what is no longer optimal is solved again. The log-weight found is the same with or
            without.

    Returns:
        Assignment with `.parent` (N,) int64 and `.log_weight`.

    Raises:
        NonConvexDivisionError: if a mother's second daughter is cheaper than its first.
        InfeasibleProblemError: if -inf event scores leave no feasible assignment.
        ValueError: if `warm_start` is of another size.

    Example:
        >>> problem = AssignmentProblem.build(
        ...     [0, 1, 0, 1], [0, 0, 1, 1], [-1, -3, -1.5, -2], 2, 2, appear=-5, disappear=-5, divide=-2)
        >>> solution = solve_map(problem)
        >>> solution.parent, solution.log_weight
        (array([0, 1]), -3.0)
    """
    solution = solve_duals(problem, costs_of(problem), warm_start)
    return assignment_of(problem, solution)


def assignment_of(problem: AssignmentProblem, solution: DualSolution) -> Assignment:
    """The public form of a solved frame pair."""
    parent = _parent_of(problem, solution)
    return Assignment(parent, log_weight_of(problem, parent), solution.price)


def _parent_of(problem: AssignmentProblem, solution: DualSolution) -> IntArray:
    parent = np.full(problem.n_daughters, -1, np.int64)
    linked = solution.chosen >= 0
    parent[linked] = problem.links.mother[solution.chosen[linked]]
    return parent


def solve_map_many(
    problem: AssignmentProblem, scores: FloatArray, warm_start: Assignment | None = None
) -> Sequence[Assignment]:
    """MAP assignments of one frame pair under many perturbed link scores, each warm-started.

    Args:
        problem: the frame pair; its own scores give the first solution unless `warm_start` is given.
        scores: (R, E) float64, link scores of each perturbation; -inf forbids a link there, whatever the problem says.
        warm_start: an `Assignment` of `problem` to start from.

    Returns:
        R assignments, in order.

    Raises:
        ValueError: if `scores` is not (R, E) or holds NaN or +inf.
        InfeasibleProblemError: if a perturbation has no feasible assignment.

    Example:
        >>> problem = AssignmentProblem.build([0, 1], [0, 0], [-1.0, -1.2], 2, 1, appear=-9.0)
        >>> [a.parent.tolist() for a in solve_map_many(problem, [[-1.0, -2.0], [-np.inf, -1.0]])]
        [[0], [1]]
    """
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != problem.n_links:
        raise ValueError(f"scores must have shape (R, {problem.n_links}), got {scores.shape}.")
    largest, bad, forbids = sizes_of(scores)
    if bad:
        raise ValueError("scores must be finite, or -inf to forbid a link, got NaN or +inf.")
    if scores.shape[0] == 0:
        return []
    own = np.abs(np.where(np.isfinite(problem.score), problem.score, 0.0))
    cost = _dominating_cost(replace(problem, score=np.maximum(largest, own)))
    if cost > LARGEST_SCORE:
        return [solve_map(replace(problem, score=row), warm_start) for row in scores]
    if forbids or np.isneginf(problem.score).any():
        problem, scores = _with_stand_in(problem, scores, cost)
    links, costs = problem.links, costs_of(problem, cost)
    base = solve_duals(problem, costs, warm_start)
    parent = _parent_of(problem, base)
    gathered = gather_links(links, scores, costs.null, costs.slot, base.price, base.chosen)
    parents, price, log_weight = solve_perturbed(
        *gathered, scores, costs.null, costs.slot, base.price, parent, base.load, base.held
    )
    if (log_weight < -cost / 2).any():  # a stand-in, or a mother without the daughter that she must have
        raise InfeasibleProblemError(
            f"perturbation {int(np.argmin(log_weight))} forbids so many links that no assignment is feasible; "
            "give its cells finite appear and disappear scores or more candidate links."
        )
    return [Assignment(parents[r], float(log_weight[r]), price[r]) for r in range(scores.shape[0])]


def _with_stand_in(
    problem: AssignmentProblem, scores: FloatArray, cost: float
) -> tuple[AssignmentProblem, FloatArray]:
    """The same with score -cost for links that are forbidden in some perturbations but not in all.

    It is more than any two assignments differ by, so such a link is chosen only where nothing else is feasible.
    """
    offered = np.isfinite(scores)
    kept = offered.any(axis=0) | np.isfinite(problem.score)
    score = np.where(np.isneginf(problem.score) & kept, -cost, problem.score)
    return replace(problem, score=score), np.where(offered | ~kept, scores, -cost)
