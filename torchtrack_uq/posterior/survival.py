"""Kaplan-Meier medians of many samples at once."""

import numpy as np
from numpy.typing import NDArray


def kaplan_meier_median(events: NDArray[np.int64], lost: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median survival time of each sample, with those counted of which the end was not seen.

    S(t) is the product over u <= t of 1 - events(u) / at risk (u), the median the first t at which S(t) is at most 1/2
    (Kaplan & Meier, J. American Statistical Association 53, 1958). Whoever is lost at u was at risk until then.

    Args:
        events: (n, L) int64, ends of each sample that were seen after 0, 1, ... L - 1 steps.
        lost: (n, L) int64, those of which nothing is known after so many steps.

    Returns:
        (n,) float64 steps, inf where more than half survive as long as anybody was seen.

    >>> kaplan_meier_median(np.array([[0, 0, 1, 1], [0, 1, 0, 0]]), np.array([[0, 2, 0, 0], [0, 0, 0, 5]]))
    array([ 2., inf])
    """
    at_risk = (events + lost)[:, ::-1].cumsum(axis=1)[:, ::-1]
    survive = np.cumprod(1 - events / np.maximum(at_risk, 1), axis=1)
    half = (survive <= 0.5 + 1e-12) & (at_risk > 0)
    return np.where(half.any(axis=1), half.argmax(axis=1), np.inf)
