"""Whether a fitted temperature is worth having: cross-validation over the annotated frame pairs themselves."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Floats = NDArray[np.float64]
N_FOLDS = 5
FLOOR = 1e-4
"""Nats a daughter; keeps the logarithm of a likelihood of 0 finite."""
FINE = 1e-3  # step in log T


@dataclass(frozen=True)
class CrossValidation:
    """What fitting a temperature changed in frame pairs, or movies, that it was not fitted on.

    Attributes:
        change: Change of the mean negative log-likelihood per daughter, in nats; below 0 is better. NaN where it
            cannot be known.
        error: Its standard error over frame pairs or movies; likewise.
        n_units: Annotated frame pairs, or movies where there are three or more.
    """

    change: float
    error: float
    n_units: int

    @property
    def gains(self) -> bool:
        """Whether the temperature gains more than a standard error, or cannot be judged (on a single frame pair)."""
        return math.isnan(self.change) or self.change + self.error < 0


def cross_validate(x: Floats, total: Floats, n: Floats, prior_width: float | None = None) -> CrossValidation:
    """Fit T on all annotated frame pairs but a block of them, look at that block, and so on for every block.

    The annotated frame pairs are cut into five contiguous blocks (fewer if there are fewer pairs). For each block b

        x_b = argmin over x = log T of  sum over f not in b of total_f(x) + x^2 / (2 w^2)

    and every frame pair f of b changes by total_f(x_b) - total_f(0). Between the points of `x` the logarithm of each
    curve is interpolated by a cubic spline. (Cross-validation over blocks, because neighbouring frames are alike:
    Roberts et al., Ecography 40, 2017.)

    Args:
        x: (G,) float64, values of log T in ascending order, from below 0 to above.
        total: (G, F) float64, nats summed over the daughters of each annotated frame pair.
        n: (F,) number of these daughters, all positive.
        prior_width: Width w of the Gaussian prior on log T that the fit has; None for none.

    Returns:
        CrossValidation: mean change per daughter and its standard error over frame pairs.

    >>> x = np.linspace(-3, 3, 31)
    >>> agreed = np.array([0.8, 1.2, 1.0, 0.9, 1.1, 1.0])  # log T that each frame pair asks for
    >>> cross_validate(x, 10 * (x[:, None] - agreed) ** 2 + 1, np.full(6, 10)).gains
    True
    >>> at_odds = np.array([0.3, -0.3, 0.2, -0.2, 0.3, -0.3])
    >>> cross_validate(x, 10 * (x[:, None] - at_odds) ** 2 + 1, np.full(6, 10)).gains
    False
    """
    x, total, n = (np.asarray(values, np.float64) for values in (x, total, n))
    n_units = len(n)
    if n_units < 2:
        return CrossValidation(math.nan, math.nan, n_units)
    fine = np.arange(x[0], x[-1], FINE)
    curves = np.exp(CubicSpline(x, np.log(total / n + FLOOR))(np.append(fine, 0.0))) - FLOOR
    curves, at_one = curves[:-1] * n, curves[-1] * n
    prior = np.zeros(len(fine)) if prior_width is None else fine**2 / (2 * prior_width**2)
    every = curves.sum(axis=1) + prior
    change = np.empty(n_units)
    for block in np.array_split(np.arange(n_units), min(N_FOLDS, n_units)):
        best = int(np.argmin(every - curves[:, block].sum(axis=1)))
        change[block] = curves[best, block] - at_one[block]
    spread = float(change.std(ddof=1)) * np.sqrt(n_units)
    return CrossValidation(float(change.sum() / n.sum()), float(spread / n.sum()), n_units)
