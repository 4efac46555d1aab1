"""The test behind an acceptance threshold where decisions were drawn for annotation with unequal probabilities."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.guarantees.risk import THRESHOLDS, check_levels, laxest_step, starts_where

N_LEVELS = 256
"""Inclusion probabilities are rounded down to as many quantiles, which makes promises more cautious, hardly."""
_TILTS = np.geomspace(1e-2, 40, 80)  # in units of the smallest inclusion probability

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def inclusion_levels(inclusion: Floats) -> tuple[Floats, Ints]:
    """At most 256 inclusion probabilities, ascending, and for each of N the largest that is not above its own.

    >>> inclusion_levels(np.array([0.5, 0.1, 0.5]))
    (array([0.1, 0.5]), array([1, 0, 1]))
    """
    levels = np.unique(np.quantile(inclusion, np.linspace(0, 1, N_LEVELS), method="lower"))
    return levels, np.searchsorted(levels, inclusion, side="right") - 1


def weighted_p_value(found: ArrayLike, counts: ArrayLike, levels: Floats, alpha: float) -> Floats:
    """P-value of "more than alpha of a finite set of decisions are wrong", from a sample with known probabilities.

    X, the sum of 1 / pi over the wrong decisions in the sample, estimates the number W of wrong ones in the set
    (Horvitz and Thompson 1952). For every t > 0

        P(X <= x) <= exp(t x) E exp(-t X) <= exp(t x) prod_wrong (1 - pi_i (1 - exp(-t / pi_i))),

    the first by Markov's inequality, the second because members of the sample are negatively associated (with equality
    where draws are independent). A factor falls with pi_i and is below 1; so if W > alpha N, the product is at most
    that over the floor(alpha N) + 1 decisions of the set with the smallest pi_i, whichever ones are wrong. The
    p-value is the smallest bound over a grid of t and, where nothing wrong was found, over t = inf: the product of
    1 - pi_i. Nothing is assumed about which decisions are wrong.

    Args:
        found: (S,) floats, X of S sets.
        counts: (S, G) ints, how many decisions of each set have each inclusion probability.
        levels: (G,) float64 in (0, 1], ascending.
        alpha: Share of errors to allow.

    Returns:
        (S,) float64; 1 where a set is empty.

    References:
        Chernoff (1952). Joag-Dev and Proschan, "Negative association of random variables" (1983), property P2.

    >>> everyone_alike = np.array([[100], [1000], [1000]])
    >>> weighted_p_value([0, 0, 20], everyone_alike, np.array([0.1]), 0.05).round(4)
    array([0.5314, 0.0046, 0.2645])
    """
    x, n = np.asarray(found, np.float64), np.asarray(counts)
    fewest = np.floor(np.round(alpha * n.sum(1), 9)) + 1  # wrong ones, if more than alpha are
    least = np.diff(np.minimum(np.cumsum(n, axis=1), fewest[:, None]), axis=1, prepend=0.0)
    tilt = levels[0] * _TILTS
    pi = np.minimum(levels, 1 - 1e-15)  # below 1, so that logarithms are finite
    log_factor = np.log1p(pi[:, None] * np.expm1(-tilt / pi[:, None]))
    log_p = (least @ log_factor + x[:, None] * tilt).min(axis=1)
    none_found = least @ np.log1p(-pi)
    return np.asarray(np.exp(np.minimum(np.where(x == 0, np.minimum(none_found, log_p), log_p), 0.0)))


def weighted_step(
    probability: Floats,
    inclusion: Floats,
    sampled: Ints,
    wrong: NDArray[np.bool_],
    alpha: float,
    delta: float,
) -> int | None:
    """`certified_step` for a sample of a movie's decisions: the laxest threshold, or None.

    How many decisions a threshold accepts is known without annotation, so the promise is about all of these N, the
    movie's own. Where the sequences of tests begin depends on the inclusion probabilities alone.

    Args:
        probability: (N,) float64, of each decision; those below 0 are never accepted.
        inclusion: (N,) float64, probability of each to be in the sample.
        sampled: (n,) int64, which are.
        wrong: (n,) bool, which of these are wrong.
        alpha: Share of errors to allow among the accepted.
        delta: Probability with which the promise may fail.
    """
    check_levels(alpha, delta)
    levels, level = inclusion_levels(inclusion)
    n_steps = len(THRESHOLDS)
    step = np.searchsorted(THRESHOLDS, probability, side="right") - 1
    offered = step >= 0
    counts = np.bincount(step[offered] * len(levels) + level[offered], minlength=n_steps * len(levels))
    accepted = np.cumsum(counts.reshape(n_steps, -1)[::-1], axis=0)[::-1]
    at_fault = sampled[wrong & offered[sampled]]
    found = np.bincount(step[at_fault], weights=1 / inclusion[at_fault], minlength=n_steps)
    p = weighted_p_value(np.cumsum(found[::-1])[::-1], accepted, levels, alpha)
    best = weighted_p_value([0.0], accepted[:1], levels, alpha)[0]
    begin = starts_where(bool(best <= delta**3))
    return laxest_step(p <= delta / len(begin), begin)
