"""How many frames links span, and what it costs them."""

import math

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError


def max_gap_of(tracker: object) -> int:
    """How many frames a tracker's links may span: its `max_gap`, 1 where it has none.

    >>> max_gap_of(object())
    1
    """
    return int(getattr(tracker, "max_gap", 1))


def wanted_max_gap(given: int | None, *, paper: bool, calibration: object) -> int | None:
    """How many frames links are to span: as given, else the paper's, else those that a calibration was fitted with.

    None where nothing says, which means `torchtrack_uq.trackers.registry.DEFAULT_MAX_GAP`.

    Raises:
        InputError: More than one frame, to the letter of a paper that knows frame pairs only.

    >>> wanted_max_gap(None, paper=True, calibration=None)
    1
    """
    if paper:
        check_gap_of_paper(1 if given is None else given)
        return 1
    return getattr(calibration, "max_gap", None) if given is None else given


def check_gap_of_paper(max_gap: int) -> None:
    """To the letter of the paper, links are between consecutive frames.

    Raises:
        InputError: They may skip frames.
    """
    if max_gap != 1:
        raise InputError(
            f"the paper links consecutive frames only, but max_gap is {max_gap}; leave out max_gap, or paper "
            "(its methods are there without it)"
        )


def check_miss(miss: float) -> None:
    """A score of the event that a cell was missed in a frame.

    Raises:
        InputError: It is not a finite number.
    """
    if not math.isfinite(miss):
        raise InputError(
            f"miss is {miss}; expected a finite number of nats, such as -5.0 (max_gap=1 rules links over gaps out)"
        )


def widening(
    spread: NDArray[np.float64], narrowest: NDArray[np.float64] | float, ndim: int
) -> NDArray[np.float64]:
    """What a score -z² / 2 loses when z counts in a wider spread: how far the logarithm of the Gaussian's peak falls.

    After g frames a cell may be anywhere within a wider spread, each place less likely. Without this term a link over a
    gap would beat one between consecutive frames of the same length, merely since a wider spread forgives more.

    Args:
        spread: Standard deviation per axis, any shape.
        narrowest: That over one frame.
        ndim: Number of dimensions D.

    Returns:
        -D log(spread / narrowest).

    >>> widening(np.array([1.0, 2.0]), 1.0, 2)
    array([-0.        , -1.38629436])
    """
    cost: NDArray[np.float64] = -ndim * np.log(spread / narrowest)
    return cost
