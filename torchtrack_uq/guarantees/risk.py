"""The test behind an acceptance threshold: fixed-sequence testing with exact binomial p-values."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtri

from torchtrack_uq.errors import InputError

STEPS_PER_DECADE = 50
N_DECADES = 12
THRESHOLDS: NDArray[np.float64] = 1 - 10.0 ** (
    -np.arange(STEPS_PER_DECADE * N_DECADES + 1) / STEPS_PER_DECADE
)
"""The thresholds on p that can be certified, fixed before any data are seen: 0, 0.045, ..., 1 - 1e-12; evenly
spaced in log(1 - p), since the decisions of a sure tracker crowd below 1."""

START_DOUBTS = (1.0, 10**-0.5, 0.1, 10**-1.5, 1e-2, 1e-3, 1e-5, 1e-8)
"""1 - p at the thresholds where a sequence of tests may begin."""
_STARTS = tuple(round(-STEPS_PER_DECADE * math.log10(doubt)) for doubt in START_DOUBTS)
_ONLY_START = _STARTS[2]


def check_levels(alpha: float, delta: float) -> None:
    """Refuse levels that are no probabilities.

    Raises:
        InputError: alpha or delta is not strictly between 0 and 1.
    """
    for name, value in (("alpha (share of errors)", alpha), ("delta (1 - confidence)", delta)):
        if not 0 < value < 1:
            raise InputError(f"{name} must lie between 0 and 1, got {value:g}")


def fewest_decisions(alpha: float, delta: float) -> int:
    """How many accepted decisions without any error certify an error of at most alpha: log delta / log(1 - alpha).

    >>> fewest_decisions(0.01, 0.05), fewest_decisions(0.05, 0.05)
    (299, 59)
    """
    check_levels(alpha, delta)
    return math.ceil(math.log(delta) / math.log1p(-alpha))


def starts(n: int, alpha: float, delta: float) -> tuple[int, ...]:
    """Steps at which sequences of tests begin: eight, or the one at p = 0.9 where n is too small for eight.

    Depends on the number of decisions alone, never on their probabilities or outcomes.
    """
    return starts_where(n >= 3 * fewest_decisions(alpha, delta))


def starts_where(enough: bool) -> tuple[int, ...]:
    """Eight steps where there is enough annotation for as many sequences of tests, else the one at p = 0.9."""
    return _STARTS if enough else (_ONLY_START,)


def risk_p_value(accepted: ArrayLike, wrong: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """P-value of "more than alpha of the accepted are wrong": P(Binomial(accepted, alpha) <= wrong).

    Given how many of n independent decisions pass a fixed threshold, the number of wrong ones among them is
    binomial, so the p-value is exact. It falls below delta just where the upper Clopper-Pearson bound at
    confidence 1 - delta falls below alpha.

    >>> risk_p_value([298, 299, 1000], [0, 0, 4], 0.01).round(4)
    array([0.05  , 0.0495, 0.0287])
    """
    return np.asarray(bdtr(np.asarray(wrong, np.float64), np.asarray(accepted), alpha), np.float64)


def upper_bound(accepted: ArrayLike, wrong: ArrayLike, delta: float) -> NDArray[np.float64]:
    """Upper Clopper-Pearson bound on the share of errors, at confidence 1 - delta; 1 where nothing is accepted."""
    n, k = np.asarray(accepted), np.asarray(wrong, np.float64)
    return np.where(k >= n, 1.0, bdtri(np.minimum(k, np.maximum(n - 1, 0)), np.maximum(n, 1), delta))


def certified_step(accepted: ArrayLike, wrong: ArrayLike, alpha: float, delta: float) -> int | None:
    """The laxest threshold at which at most alpha of the accepted are wrong, with confidence 1 - delta.

    Learn then Test: each threshold is a hypothesis "R(threshold) > alpha" with an exact p-value. From each of m
    thresholds fixed in advance one goes towards laxer ones for as long as p-values stay at or below delta / m. The
    first threshold of a sequence at which the hypothesis is true is fixed as well, and to certify anything false it
    has to be rejected: probability at most delta / m; over all sequences, at most delta. Nothing is assumed about
    the tracker, its calibration, or how its errors change with p.

    Args:
        accepted: (601,) ints, how many calibration decisions have p >= THRESHOLDS[k].
        wrong: (601,) ints, how many of those are wrong.
        alpha: Share of errors to allow among the accepted.
        delta: Probability with which the promise may fail.

    Returns:
        Index into `THRESHOLDS`, or None if nothing can be certified.

    References:
        Angelopoulos, Bates, Candes, Jordan, Lei, "Learn then Test" (2021), sec. 2.3: fixed-sequence testing with
        several starting points. Geifman and El-Yaniv, "Selective classification for deep neural networks" (2017):
        binomial tails for the error of accepted decisions. Clopper and Pearson (1934).

    >>> counts = np.full(601, 1000)
    >>> certified_step(counts, counts * 0, 0.01, 0.05), certified_step(counts, counts // 50, 0.01, 0.05)
    (0, None)
    """
    check_levels(alpha, delta)
    accepted = np.asarray(accepted)
    begin = starts(int(accepted[0]), alpha, delta)
    return laxest_step(risk_p_value(accepted, wrong, alpha) <= delta / len(begin), begin)


def laxest_step(rejected: NDArray[np.bool_], begin: Sequence[int]) -> int | None:
    """The laxest threshold that sequences of tests reach, each from its beginning to the first test that fails.

    Args:
        rejected: (601,) bool, whether the test of each threshold holds.
        begin: Steps at which the sequences begin.

    >>> laxest_step(np.array([True, False, True, True]), [2, 3]), laxest_step(np.array([False, False]), [1])
    (2, None)
    """
    laxest: int | None = None
    for start in begin:
        kept = np.flatnonzero(~rejected[: start + 1])
        step = int(kept[-1]) + 1 if len(kept) else 0
        if step <= start:
            laxest = step if laxest is None else min(laxest, step)
    return laxest


def smallest_alpha(certifies: Callable[[float], bool]) -> float:
    """The smallest share of errors (to 1 %) that can be certified; 1 if there is none.

    Args:
        certifies: Whether a share of errors can be; if one can, so can every larger one.

    >>> round(smallest_alpha(lambda alpha: alpha > 0.03), 3)
    0.03
    """
    low, high = 1e-6, 1.0
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if certifies(middle) else (middle, high)
    return high
