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
NEIGHBOURHOOD = 12
"""Daughters of a neighbourhood in larger ones."""
STRONG = 3.0
"""Links there of at most so many times the tolerance count, but correlate nothing. With 12 and 3 against 20 and all
links, of 1,799 pairs in four movies that percolate 24 were off by more than .001, at most by .006 (taken for
independent: 34, at most .009), in an eighth to a hundredth of the time."""
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


class OthersOdds(NamedTuple):
    """What mothers do over links that are not summed, as logarithms of the odds if there is room.

    Attributes:
        one: (M,) float64, of having one daughter over them, -inf where there is none.
        two: (M,) float64, of having two.
    """

    one: FloatArray
    two: FloatArray


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
    i of `NEIGHBOURHOOD`: an estimate (measured: `STRONG`). Cut links enter by their marginals: a daughter outside keeps
    her links to mothers inside, and all else that she may do is one choice, with the odds that it has in `found`; links
    of at most `STRONG` tolerances count at both their ends as if those had nothing to do with each other. All
    neighbourhoods are summed as one problem, whose components they are.

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
    around, strong, others = most_daughters, matters, None
    if tolerance > 0:
        around = min(NEIGHBOURHOOD, most_daughters)
        strong = found.link[links.link] > STRONG * tolerance
        others = _odds_of_others(problem, found, strong)
    for those, most, joining, odds in (
        (together & ~large, most_daughters, matters, None),
        (large, around, strong, others),
    ):
        asked = np.flatnonzero(those & (null > least) & (none > least))
        asked = asked[np.argsort(of_daughter[daughter[asked]], kind="stable")]
        given, complete = _none_given_null(
            problem, found, joining, odds, daughter[asked], mother[asked], tolerance, most
        )
        probability[asked] = np.where(np.isnan(given), probability[asked], null[asked] * given)
        whole[asked] = complete
    return JointNone(np.clip(probability, np.maximum(null + none - 1, 0), np.minimum(null, none)), whole)


def _none_given_null(
    problem: AssignmentProblem,
    found: Marginals,
    joining: BoolArray,
    others: OthersOdds | None,
    daughter: IntArray,
    mother: IntArray,
    tolerance: float,
    most: int,
) -> tuple[FloatArray, BoolArray]:
    """P(none_i given null_j) of each pair, NaN where nothing can be said; whether all of its component was summed.

    Neighbourhoods are made of the links (F,) that are `joining`; `others` enter by their odds, if they are to count.
    """
    given, complete = np.full(daughter.size, np.nan), np.zeros(daughter.size, dtype=bool)
    links = problem.links
    waiting = [(start, min(start + max(AT_ONCE // most, 1), daughter.size), most)
               for start in range(0, daughter.size, max(AT_ONCE // most, 1))]  # fmt: skip
    while waiting:
        start, end, size = waiting.pop()
        copies = Copies(
            *copy_neighbourhoods(
                links.start, links.mother, links.daughter, links.mother_start, links.by_mother, joining,
                found.link[links.link], daughter[start:end], mother[start:end], size,
            )
        )  # fmt: skip
        try:
            around, still_none = _problem_of(problem, found, copies, others)
            summed = marginals(
                around, method="auto" if tolerance > 0 else "exact", tolerance=tolerance,
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
        given[start:end] = summed.disappear[copies.asked] * still_none[copies.asked]
        if others is None:
            complete[start:end] = ~copies.is_cut & (summed.mother_error[copies.asked] <= tolerance)
    return given, complete


def _odds_of_others(problem: AssignmentProblem, found: Marginals, joining: BoolArray) -> OthersOdds:
    """Of links that are not `joining` (F,).

    A daughter whose link has the small probability p arrives with the odds p / R, R the mean of g(n + 1) / g(n) over
    the mother's n: what a message of belief propagation says.
    """
    links, m = problem.links, problem.n_mothers
    probability = found.link[links.link]
    two = np.maximum(np.bincount(links.mother, probability, m) - (1 - found.disappear), 0.0)
    one = np.maximum(1 - found.disappear - two, 0.0)
    other, weak = links.mother[~joining], probability[~joining]
    total, squares = np.bincount(other, weak, m), np.bincount(other, weak**2, m)
    with np.errstate(divide="ignore", invalid="ignore"):  # -inf and NaN where nothing, or all, is possible
        if_none = np.log(found.disappear) - problem.disappear
        room = np.logaddexp(np.where(np.isnan(if_none), -np.inf, if_none), np.log(one) + problem.divide)
        first, second = np.log(total) - room, np.log(np.maximum(total**2 - squares, 0) / 2) - 2 * room
    known = np.isfinite(room)
    return OthersOdds(np.where(known, first, -np.inf), np.where(known, second, -np.inf))


def _problem_of(
    problem: AssignmentProblem, found: Marginals, copies: Copies, others: OthersOdds | None
) -> tuple[AssignmentProblem, FloatArray]:
    """All neighbourhoods as one problem; at their rims, choices outside are one choice beside the links inside.

    Also (B,) the probability that a mother who has no daughter in it has none over the links left out either, if
    `others` count.
    """
    links = problem.links
    appear = problem.appear[copies.daughter]
    disappear, divide = problem.disappear[copies.mother], problem.divide[copies.mother]
    probability, score = found.link[links.link[copies.place]], links.score[copies.place]
    cut = copies.rim if others is None else np.ones_like(copies.rim)
    if cut.any():
        inside = np.bincount(copies.link_daughter, probability, minlength=appear.size)
        null = found.null[copies.daughter]
        # the likeliest link inside is the measure where having no mother is none
        best = np.lexsort((probability, copies.link_daughter))
        best = best[np.append(np.diff(copies.link_daughter[best]) > 0, True)]
        measure, size = appear.copy(), null.copy()
        faint = cut & ~(null > FAINT)
        likeliest = np.full(appear.size, -1)
        likeliest[copies.link_daughter[best]] = best
        measure[faint], size[faint] = score[likeliest[faint]], probability[likeliest[faint]]
        outside = np.maximum(1 - inside, FAINT)
        appear[cut] = (measure + np.log(outside) - np.log(np.maximum(size, FAINT)))[cut]
        appear = np.maximum(appear, FORBIDDEN)
        disappear = np.maximum(disappear, FORBIDDEN)
    if others is None:
        around = AssignmentProblem(copies.link_mother, copies.link_daughter, score, appear, disappear, divide)
        return around, np.ones(disappear.size)
    first, second = others.one[copies.mother], others.two[copies.mother]
    disappear = np.maximum(disappear, FORBIDDEN)
    none = np.logaddexp(np.logaddexp(disappear, first), divide + second)
    one = np.logaddexp(0.0, divide + first)
    return (
        AssignmentProblem(copies.link_mother, copies.link_daughter, score, appear, none - one, divide - one),
        np.exp(disappear - none),
    )
