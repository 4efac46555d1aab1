"""A solved frame pair in which every choice is written as its gap to the MAP assignment."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.min_marginals import option_gaps, reduced_costs
from torchtrack_uq.assignment.map_solver import DualSolution, assignment_of, costs_of, solve_duals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.types import FloatArray

TIE = 1e-300  # gap of choices as good as the MAP's: only the MAP has gap 0, so it is always listed first


class GapModel(NamedTuple):
    """A solved frame pair as gaps to the MAP: all reduced costs, at least 0.

    Attributes:
        solution: the MAP with its prices.
        link: (F,) float64, reduced cost of each link.
        null: (N,) float64, reduced cost of each daughter's null option; inf where forbidden.
        load: (M, 3) float64, what mother i with n daughters costs more than its best n at its price.
        slot: (M, 2) float64, cost of the first and second daughter; -inf for mothers that must have one.
        log_weight: L(A) of the solution.
    """

    solution: DualSolution
    link: FloatArray
    null: FloatArray
    load: FloatArray
    slot: FloatArray
    log_weight: float

    @property
    def factor_cost(self) -> FloatArray:
        """Costs of the factors of a frontier graph."""
        return np.concatenate([self.link, self.null, self.load.ravel()])


def gap_model(problem: AssignmentProblem, allow_non_convex: bool = False) -> GapModel:
    """Solve the MAP and express every choice by its reduced cost.

    With `allow_non_convex`, the reference is the MAP of the problem with division scores lowered until they
    are convex, and the gap of two daughters may be negative there.
    """
    solvable = problem
    if allow_non_convex and not problem.is_convex:
        divide = np.where(problem.non_convex_mothers, -problem.disappear, problem.divide)
        solvable = AssignmentProblem(
            problem.mother, problem.daughter, problem.score, problem.appear, problem.disappear, divide
        )
    costs = costs_of(solvable)
    solution = solve_duals(solvable, costs)
    links = problem.links
    link, null = reduced_costs(
        links.start, links.mother, links.daughter, costs.link, costs.null, solution.price, solution.value
    )
    load = np.stack([-problem.disappear, np.zeros(problem.n_mothers), -problem.possible_divide], axis=1)
    load -= solution.price[:, None] * np.arange(3)
    mothers = np.arange(problem.n_mothers)
    load -= load[mothers, solution.load][:, None]
    linked = solution.chosen >= 0
    link, null = np.maximum(link, TIE), np.maximum(null, TIE)
    if solvable is problem:
        load = np.maximum(load, TIE)
    link[solution.chosen[linked]] = 0.0
    null[~linked] = 0.0
    load[mothers, solution.load] = 0.0
    slot = np.column_stack([problem.disappear, -problem.possible_divide])
    return GapModel(solution, link, null, load, slot, assignment_of(problem, solution).log_weight)


def gaps_up_to(problem: AssignmentProblem, model: GapModel, bound: float) -> tuple[FloatArray, FloatArray]:
    """Gap between the MAP and the best assignment with each link (F,), each null (N,); inf beyond `bound`."""
    links, solution = problem.links, model.solution
    return option_gaps(
        links.start, links.mother, links.daughter, model.link, model.null, model.slot, links.mother_start,
        links.by_mother, solution.price, solution.chosen, solution.load, solution.held, bound,
    )  # fmt: skip
