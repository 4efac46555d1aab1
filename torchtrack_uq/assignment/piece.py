"""Marginals of a part of a movie that is too long to be held, with bounds that hold in the whole of it."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.automatic import auto_limit, share_of
from torchtrack_uq.assignment.cuts import first_and_last, lose_by_cuts, some_must_be_linked, stretches_of
from torchtrack_uq.assignment.dropping import odds_if_free
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import gauge_of
from torchtrack_uq.assignment.stretches import NOTHING, Proved, marginals_by_stretches
from torchtrack_uq.assignment.types import IntArray


class CannotBeCutError(ValueError):
    """A movie that has to be summed in one go, and why."""


class PieceMarginals(NamedTuple):
    """What is found of a piece.

    Attributes:
        marginals: Of its cells; of those outside it nothing is found, and their errors are NaN. Log Z is an estimate
            that only differences of pieces of one movie mean something of.
        proved: What the piece before needs.
        parent: (N,) int64, mothers in the likeliest assignment of all that the problem holds, -1 for none.
    """

    marginals: Marginals
    proved: Proved
    parent: IntArray


def marginals_of_piece(
    problem: AssignmentProblem,
    inside: tuple[int, int],
    *,
    tolerance: float = 1e-3,
    memory_limit: int | None = None,
    following: Proved = NOTHING,
) -> PieceMarginals:
    """As `marginals` of many frames by method "auto", of a piece of a movie; what is proved holds in the whole movie.

    Nothing is taken for granted of what lies outside: see "Long movies" in docs/assignment.md. Near its ends a piece
    proves less, so pieces overlap, and those of a movie are worked on from the last one to the first.

    Args:
        problem: Daughters and mothers of some frames, in the order of the frames, with all candidate links between
            them. Beyond the ends of the piece, where the movie goes on, it holds the frames that links lead to.
        inside: First and last (excluded) daughter of the piece, each the first one of a frame.
        tolerance: Error up to which marginals are proved where that is possible.
        memory_limit: Bytes; by default some for each daughter.
        following: What the next piece proved, in numbers of this problem's daughters and places of its links.

    Raises:
        CannotBeCutError: Some cell must have a mother or a daughter, or second daughters are likelier than first
            ones, or many cells are in channels, of which cuts would leave nothing proved.
        ValueError: `inside` is no range of daughters.
        InfeasibleProblemError: No assignment is feasible.

    Example:
        >>> problem = AssignmentProblem.build([0, 0, 1], [0, 1, 1], [3.0, 0.0, 3.0], 2, 2, appear=-2.0, divide=-2.0)
        >>> found = marginals_of_piece(problem, (0, 2)).marginals
        >>> found.link.round(3), found.daughter_error <= 1e-3
        (array([0.993, 0.007, 0.986]), array([ True,  True]))
    """
    n = problem.n_daughters
    if not 0 <= inside[0] <= inside[1] <= n:
        raise ValueError(f"inside must be a range of the {n} daughters, got {inside}.")
    if not problem.is_convex:
        raise CannotBeCutError("second daughters are likelier than first ones")
    model = gap_model(problem)
    gauge, chosen = gauge_of(problem, model, 1.0), model.solution.chosen
    if some_must_be_linked(gauge):
        raise CannotBeCutError("some cells must have a mother or a daughter")
    wanted = odds_if_free(problem, model, gauge, 1.0)
    if lose_by_cuts(problem, chosen, wanted, tolerance):
        raise CannotBeCutError(
            "many cells hang together over so many frames, and so few at a time, that they are summed whole, as in "
            "channels"
        )
    told: list[Proved] = []
    found = marginals_by_stretches(
        problem, gauge, chosen, wanted, tolerance, auto_limit(n, memory_limit),
        share_of(n), stretches_of(problem, chosen, inside), following, told.append,
    )  # fmt: skip
    outside = np.ones(n, np.bool_)
    outside[slice(*inside)] = False
    found.daughter_error[outside] = np.nan
    first, last = first_and_last(problem)
    linked = np.flatnonzero(last >= 0)
    found.mother_error[linked[outside[first[linked]]]] = np.nan
    parent = np.where(chosen < 0, -1, problem.links.mother[chosen]) if problem.n_links else chosen
    return PieceMarginals(found, told[0], parent)
