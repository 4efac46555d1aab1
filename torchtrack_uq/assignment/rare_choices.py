"""What follows from choices that are unlikely: marginals given that they are made, for many of them at once."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.elimination import exact_marginals
from torchtrack_uq.assignment.marginal_result import Direction, Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import all_components, components_of
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

GIVEN_TOLERANCE = 1e-3
"""Largest error of the probabilities given that a rare choice is made."""
NOBODY = -1


class RareChoices(NamedTuple):
    """Choices of a mother, or of none, that weigh in a derivative.

    Attributes:
        daughter: (R,) int64.
        mother: (R,) int64, -1 for none.
        weight: (R,) float64, what (P(f given the choice) - P(f)) is multiplied by.
    """

    daughter: IntArray
    mother: IntArray
    weight: FloatArray

    def take(self, rows: IntArray | BoolArray) -> "RareChoices":
        """Some of them."""
        return RareChoices(self.daughter[rows], self.mother[rows], self.weight[rows])


def changes_given(
    problem: AssignmentProblem, found: Marginals, rare: RareChoices, memory_limit: int
) -> Direction:
    """Sum over rare choices e of weight_e (P(f given e) - P(f)), for every f.

    Choices that touch different components of the kept links are made together: given all of them, what lies in the
    components that one of them touches does not depend on the others, to within the tolerance that is proved. Where
    their components turn out to grow into one, they are summed over apart.

    Raises:
        EliminationTooLargeError: What remains given a choice does not fit.
    """
    e, n, m = problem.n_links, problem.n_daughters, problem.n_mothers
    total = Direction(np.zeros(e), np.zeros(n), np.zeros(m), np.zeros(m))
    assert found.kept is not None
    at = _components(problem, found.kept)
    while len(rare.daughter):
        owner, of_daughter, of_mother = _apart(problem, at, rare)
        group = np.flatnonzero(owner)
        given = _given(problem, rare.take(group), memory_limit)
        clear = np.ones(len(group), dtype=bool)
        if len(group) > 1:
            clear, of_daughter, of_mother = _claim(problem, given, of_daughter, of_mother, len(group))
            if not clear.any():
                group, clear = group[:1], np.ones(1, dtype=bool)
                given = _given(problem, rare.take(group), memory_limit)
        if len(group) == 1:
            of_daughter, of_mother = np.zeros(n, np.int64), np.zeros(m, np.int64)
        weight = np.append(np.where(clear, rare.weight[group], 0.0), 0.0)  # the last for NOBODY
        at_daughter, at_mother = weight[of_daughter], weight[of_mother]
        total.link[:] += at_daughter[problem.daughter] * (given.link - found.link)
        total.null[:] += at_daughter * (given.null - found.null)
        total.disappear[:] += at_mother * (given.disappear - found.disappear)
        total.divide[:] += at_mother * (given.divide - found.divide)
        left = np.ones(len(rare.daughter), dtype=bool)
        left[group[clear]] = False
        rare = rare.take(left)
    return total


def _components(problem: AssignmentProblem, kept: BoolArray) -> tuple[IntArray, IntArray]:
    """Component of each daughter and of each mother; cells without kept links have one of their own."""
    of_daughter, of_mother, _ = all_components(*components_of(problem, kept[problem.links.link]))
    return of_daughter, of_mother


def _apart(
    problem: AssignmentProblem, at: tuple[IntArray, IntArray], rare: RareChoices
) -> tuple[BoolArray, IntArray, IntArray]:
    """Choices of which no two touch one component: (R,) bool, and which of them each daughter and mother is touched by.

    A choice touches the components of its daughter and of all mothers that she may have.
    """
    at_daughter, at_mother = at
    links = problem.links
    n_components = int(max(at_daughter.max(initial=-1), at_mother.max(initial=-1))) + 1
    touched_by = np.full(n_components, NOBODY)
    chosen = np.zeros(len(rare.daughter), dtype=bool)
    n_chosen = 0
    for r, j in enumerate(rare.daughter):
        touched = np.append(at_mother[links.mother[links.start[j] : links.start[j + 1]]], at_daughter[j])
        if (touched_by[touched] == NOBODY).all():
            touched_by[touched] = n_chosen
            chosen[r] = True
            n_chosen += 1
    return chosen, touched_by[at_daughter], touched_by[at_mother]


def _claim(
    problem: AssignmentProblem, given: Marginals, of_daughter: IntArray, of_mother: IntArray, n_choices: int
) -> tuple[BoolArray, IntArray, IntArray]:
    """Which choices have the components of what is given to themselves, and whose each daughter and mother is then."""
    assert given.kept is not None
    cells = np.concatenate([of_daughter, of_mother])
    component = np.concatenate(_components(problem, given.kept))
    owned = np.flatnonzero(cells != NOBODY)
    n_components = int(component.max(initial=-1)) + 1
    lowest, highest = np.full(n_components, n_choices), np.full(n_components, NOBODY)
    np.minimum.at(lowest, component[owned], cells[owned])
    np.maximum.at(highest, component[owned], cells[owned])
    clear = np.ones(n_choices, dtype=bool)
    shared = (lowest < highest)[component[owned]]
    clear[cells[owned][shared]] = False
    owner = np.where(lowest == highest, highest, NOBODY)[component]
    owner = np.where(cells != NOBODY, cells, owner)
    return clear, owner[: problem.n_daughters], owner[problem.n_daughters :]


def _given(problem: AssignmentProblem, made: RareChoices, memory_limit: int) -> Marginals:
    """Marginals given that these daughters have these mothers, or none."""
    mother = np.full(problem.n_daughters, -2)
    mother[made.daughter] = made.mother
    of_link = mother[problem.daughter]
    other: BoolArray = (of_link > -2) & (problem.mother != of_link)
    appear = np.where(mother >= 0, -np.inf, problem.appear)
    certain = replace(problem, score=np.where(other, -np.inf, problem.score), appear=appear)
    found = exact_marginals(certain, 1.0, GIVEN_TOLERANCE, memory_limit)
    if found.kept is None:
        return replace(found, kept=np.ones(problem.n_links, dtype=bool))
    return found
