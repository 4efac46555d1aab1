"""Probability that a daughter has no mother and a mother no daughter, of one assignment: a pair of events."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.neighbourhoods import Copies, copy_neighbourhoods
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.marginals import marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import components_of
from torchtrack_uq.assignment.types import (
    BoolArray,
    EliminationTooLargeError,
    FloatArray,
    InfeasibleProblemError,
    IntArray,
    NonConvexDivisionError,
)

MOST_DAUGHTERS = 20
"""Components up to that size are summed whole."""
NEIGHBOURHOOD = 8
"""Daughters of a neighbourhood in larger ones: of 7,900 pairs in a movie that percolates one was off by more than .001
against 20, at half the time."""
NEGLECTED = 1e-2
"""In larger components, which are estimated anyway, pairs of which one event is less probable count as independent."""
FEWEST_DAUGHTERS = 4
"""Neighbourhoods that are too ambiguous shrink by halves, and below this the two events count as independent."""
AT_ONCE = 20_000  # daughters of the copies that are summed in one call
WEAK = 1e-2  # links below this share of the tolerance do not join cells
FORBIDDEN = (
    -1e4
)  # stands for -inf at the rim of a neighbourhood, where what it forbids may be all that is left
FAINT = 1e-6  # probability of having no mother below which it is no measure for other choices


class JointNone(NamedTuple):
    """What `joint_none` returns.

    Attributes:
        probability: (Q,) float64, probability that both happen.
        whole: (Q,) bool, whether all that the two depend on was summed over; else it is a neighbourhood, or nothing.
    """

    probability: FloatArray
    whole: BoolArray


def joint_none(
    problem: AssignmentProblem,
    found: Marginals,
    daughter: IntArray,
    mother: IntArray,
    tolerance: float = 1e-3,
    most_daughters: int = MOST_DAUGHTERS,
) -> JointNone:
    r"""Probability that daughter j has no mother and mother i no daughter, for Q pairs (j, i).

    P(null_j and none_i) = P(null_j) P(none_i given null_j); given null_j, the posterior is that of the problem without
    daughter j. Where j and i lie in different components of the links that matter, the two are independent. Else the
    component is summed again without j, or, where it has more than `most_daughters` daughters, a neighbourhood of j and
    i of `NEIGHBOURHOOD`: an estimate (measured on a movie that percolates: docs/methods.md). Cut links enter by their
    marginals: a daughter outside keeps her links to mothers inside, and all else that she may do is one choice, with
    the odds that it has in `found`. All neighbourhoods are summed as one problem, whose components they are.

    In a movie whose links may skip frames, i and j may be one cell: then this is the probability that it has neither
    mother nor daughter.

    Args:
        problem: Scores at the temperature that `found` is of.
        found: Its marginals; estimates do.
        daughter: (Q,) int64, 0 <= j < N.
        mother: (Q,) int64, 0 <= i < M.
        tolerance: Pairs of which one event is less probable are taken for independent (in components that are not
            summed whole, less than `NEGLECTED`), links of less than a hundredth of it do not join cells; and as for
            `marginals`. At 0, everything counts, and neighbourhoods have `most_daughters`.
        most_daughters: Largest component that is summed whole.

    Returns:
        JointNone: Probabilities between max(0, P(null_j) + P(none_i) - 1) and min(P(null_j), P(none_i)), (Fréchet
        bounds), and whether they are more than estimates given `found`.

    Raises:
        ValueError: Pairs of different lengths, or indices out of range.

    >>> problem = AssignmentProblem.build([0], [0], [0.0], 1, 1)  # linked or not, both with probability 1/2
    >>> joint_none(problem, marginals(problem), np.array([0]), np.array([0])).probability
    array([0.5])
    """
    daughter, mother = np.asarray(daughter, np.int64), np.asarray(mother, np.int64)
    for name, index, count in (
        ("daughter", daughter, problem.n_daughters),
        ("mother", mother, problem.n_mothers),
    ):
        if index.ndim != 1 or index.shape != daughter.shape:
            raise ValueError(
                f"every pair needs a daughter and a mother, got {daughter.shape} and {mother.shape}."
            )
        if index.size and not (index.min() >= 0 and index.max() < count):
            raise ValueError(f"{name} must lie in 0 .. {count - 1}, got {index.min()} to {index.max()}.")
    null, none = found.null[daughter], found.disappear[mother]
    probability = null * none
    whole = np.ones(daughter.size, dtype=bool)
    links = problem.links
    matters = found.link[links.link] > WEAK * tolerance
    of_daughter, of_mother, n_components = components_of(problem, matters)
    together = (of_daughter[daughter] == of_mother[mother]) & (of_daughter[daughter] >= 0)
    size = np.bincount(of_daughter[of_daughter >= 0], minlength=n_components + 1)  # -1, none, finds 0
    large = together & (size[of_daughter[daughter]] > most_daughters)
    least = np.where(large & (tolerance > 0), max(tolerance, NEGLECTED), tolerance)
    whole[together] = False
    for those, most in (
        (together & ~large, most_daughters),
        (large, min(NEIGHBOURHOOD, most_daughters) if tolerance > 0 else most_daughters),
    ):
        asked = np.flatnonzero(those & (null > least) & (none > least))
        asked = asked[np.argsort(of_daughter[daughter[asked]], kind="stable")]
        given, complete = _none_given_null(
            problem, found, matters, daughter[asked], mother[asked], tolerance, most
        )
        probability[asked] = np.where(np.isnan(given), probability[asked], null[asked] * given)
        whole[asked] = complete
    return JointNone(np.clip(probability, np.maximum(null + none - 1, 0), np.minimum(null, none)), whole)


def _none_given_null(
    problem: AssignmentProblem,
    found: Marginals,
    matters: BoolArray,
    daughter: IntArray,
    mother: IntArray,
    tolerance: float,
    most: int,
) -> tuple[FloatArray, BoolArray]:
    """P(none_i given null_j) of each pair, NaN where nothing can be said; whether all of its component was summed."""
    given, complete = np.full(daughter.size, np.nan), np.zeros(daughter.size, dtype=bool)
    links = problem.links
    waiting = [(start, min(start + max(AT_ONCE // most, 1), daughter.size), most)
               for start in range(0, daughter.size, max(AT_ONCE // most, 1))]  # fmt: skip
    while waiting:
        start, end, size = waiting.pop()
        copies = Copies(
            *copy_neighbourhoods(
                links.start, links.mother, links.daughter, links.mother_start, links.by_mother, matters,
                found.link[links.link], daughter[start:end], mother[start:end], size,
            )
        )  # fmt: skip
        try:
            summed = marginals(
                _problem_of(problem, found, copies), method="auto" if tolerance > 0 else "exact", tolerance=tolerance,
                many_frames=True,  # every neighbourhood gets its share: one hard one must not slow all the others
            )  # fmt: skip
        except (EliminationTooLargeError, InfeasibleProblemError, NonConvexDivisionError):
            # one neighbourhood among them cannot be summed: find it, then make it smaller
            middle = (start + end) // 2
            if end - start > 1:
                waiting += [(start, middle, size), (middle, end, size)]
            elif size // 2 >= FEWEST_DAUGHTERS:
                waiting.append((start, end, size // 2))
            continue
        given[start:end] = summed.disappear[copies.asked]
        complete[start:end] = ~copies.is_cut & (summed.mother_error[copies.asked] <= tolerance)
    return given, complete


def _problem_of(problem: AssignmentProblem, found: Marginals, copies: Copies) -> AssignmentProblem:
    """All neighbourhoods as one problem; at their rims, choices outside are one choice beside the links inside."""
    links = problem.links
    appear = problem.appear[copies.daughter]
    disappear, divide = problem.disappear[copies.mother], problem.divide[copies.mother]
    probability, score = found.link[links.link[copies.place]], links.score[copies.place]
    at_rim = copies.rim
    if at_rim.any():
        inside = np.bincount(copies.link_daughter, probability, minlength=appear.size)
        null = found.null[copies.daughter]
        # the likeliest link inside is the measure where having no mother is none
        best = np.lexsort((probability, copies.link_daughter))
        best = best[np.append(np.diff(copies.link_daughter[best]) > 0, True)]
        measure, size = appear.copy(), null.copy()
        faint = at_rim & ~(null > FAINT)
        likeliest = np.full(appear.size, -1)
        likeliest[copies.link_daughter[best]] = best
        measure[faint], size[faint] = score[likeliest[faint]], probability[likeliest[faint]]
        outside = np.maximum(1 - inside, FAINT)
        appear[at_rim] = (measure + np.log(outside) - np.log(np.maximum(size, FAINT)))[at_rim]
        appear = np.maximum(appear, FORBIDDEN)
        disappear = np.maximum(disappear, FORBIDDEN)
    return AssignmentProblem(copies.link_mother, copies.link_daughter, score, appear, disappear, divide)
