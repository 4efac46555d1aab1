"""Marginals over a daughter's neighbourhood alone: an idea of OrganoidTracker 2, written from its description.

For each daughter only the assignments of her neighbourhood are summed over: her candidate mothers (step 1), the
other daughters that these may well have (step 2), and the other mothers that those may well have (step 3). What is
further away is ignored, as if it did not exist. A link is followed if its parental softmax is at least `LEAST`;
her own links all count. Within the neighbourhood the sum is this package's, exact where that fits into memory.
"""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment import AssignmentProblem, marginals

LEAST = 1e-3
STEPS = 3

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def local_marginals(
    problem: AssignmentProblem, temperature: float = 1.0, least: float = LEAST, steps: int = STEPS
) -> tuple[Floats, Floats]:
    """Link and null probabilities of each daughter from her neighbourhood.

    Args:
        problem: A frame pair.
        temperature: T, divides all scores.
        least: Smallest parental softmax of links that are followed.
        steps: 1 (her mothers), 2 or 3.

    Returns:
        (E,) probability of each link and (N,) of having no mother.

    >>> swap = AssignmentProblem.build([0, 0, 1, 1], [0, 1, 0, 1], [2.0, 1.0, 1.0, 2.0], 2, 2, divide=-9.0)
    >>> bool(np.allclose(local_marginals(swap)[0], marginals(swap).link))
    True
    """
    followed = problem.links is not None and parental_softmax(problem, temperature) >= least
    link, null = np.zeros(problem.n_links), np.ones(problem.n_daughters)
    of_daughter = _grouped(problem.daughter, problem.n_daughters)
    of_mother = _grouped(problem.mother, problem.n_mothers)
    for daughter in range(problem.n_daughters):
        own = of_daughter[daughter]
        if len(own):
            kept = _neighbourhood(problem, own, of_daughter, of_mother, followed, steps)
            link[own], null[daughter] = _solve(problem, daughter, own, kept, temperature)
    return link, null


_MEMORY = 1 << 20  # bytes, as `AssignmentPosterior("auto")` has it: crowded neighbourhoods are estimated


def parental_softmax(problem: AssignmentProblem, temperature: float) -> Floats:
    """(E,) softmax over each daughter's mothers and null."""
    score, appear = problem.score / temperature, problem.appear / temperature
    top = appear.copy()
    np.maximum.at(top, problem.daughter, score)
    weight = np.exp(score - top[problem.daughter])
    total = np.exp(appear - top)
    np.add.at(total, problem.daughter, weight)
    return np.asarray(weight / total[problem.daughter])


def _grouped(index: Integers, n: int) -> list[Integers]:
    order = np.argsort(index, kind="stable")
    return np.split(order, np.searchsorted(index[order], np.arange(1, n)))


def _neighbourhood(
    problem: AssignmentProblem,
    own: Integers,
    of_daughter: list[Integers],
    of_mother: list[Integers],
    followed: NDArray[np.bool_],
    steps: int,
) -> Integers:
    """The links of the neighbourhood, own ones included."""
    if steps == 1:
        return own
    near = own[followed[own]]
    siblings = [of_mother[mother] for mother in np.unique(problem.mother[near])]
    second = np.concatenate([own[:0], *siblings])
    second = second[followed[second]]
    if steps == 2:
        return np.union1d(own, second)
    others = [of_daughter[daughter] for daughter in np.unique(problem.daughter[second])]
    third = np.concatenate([own[:0], *others])
    return np.union1d(own, np.union1d(second, third[followed[third]]))


def _solve(
    problem: AssignmentProblem, daughter: int, own: Integers, kept: Integers, temperature: float
) -> tuple[Floats, float]:
    mothers, mother = np.unique(problem.mother[kept], return_inverse=True)
    daughters, local = np.unique(problem.daughter[kept], return_inverse=True)
    found = marginals(
        AssignmentProblem.build(
            mother,
            local,
            problem.score[kept],
            len(mothers),
            len(daughters),
            problem.appear[daughters],
            problem.disappear[mothers],
            problem.divide[mothers],
        ),
        temperature,
        memory_limit=_MEMORY,
    )
    return found.link[np.searchsorted(kept, own)], float(found.null[np.searchsorted(daughters, daughter)])
