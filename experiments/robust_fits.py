"""Ways to fit one temperature on few frames, each a function of curves over log T.

`experiments.robust_temperature` compares them.

All minimise n * NLL(x) + penalty(x) over x = log T on a fine grid, NLL interpolated between the curves' points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Floats = NDArray[np.float64]
FLOOR = 1e-4
N_FOLDS = 5
LAMBDAS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Sample:
    """What a fit sees.

    Attributes:
        x: (X,) log T, fine.
        total: (X, F) nats summed over the daughters of each annotated frame pair.
        n: (F,) these daughters.
        cross: (X,) cross entropy of the untempered posterior against that at T, mean over these daughters.
    """

    x: Floats
    total: Floats
    n: Floats
    cross: Floats


Fit = Callable[[Sample], float]


def refined(x: Floats, values: Floats, fine: Floats) -> Floats:
    """Non-negative curves (G, F) interpolated in their logarithm; (X, F)."""
    found = CubicSpline(x, np.log(values + FLOOR))(np.minimum(fine, x[-1]))
    return np.maximum(np.exp(found) - FLOOR, 0)


def gaussian(width: float, below: float | None = None) -> Fit:
    """Gaussian prior on log T; of another width where T < 1, if given."""

    def penalty(x: Floats) -> Floats:
        return np.where(x > 0, x / width, x / (below or width)) ** 2 / 2

    return lambda s: float(s.x[np.argmin(s.total.sum(1) + penalty(s.x))])


def pseudo(n0: float, width: float = 1.0) -> Fit:
    """n0 pseudo-daughters drawn from the untempered posterior: n0 times the mean cross entropy of P_1 against P_T."""
    return lambda s: float(
        s.x[np.argmin(s.total.sum(1) + s.x**2 / (2 * width**2) + n0 * (s.cross - s.cross.min()))]
    )


def shrunk(fit: Fit) -> Fit:
    """Log T times the lambda in 0, 0.1, ..., 1 with the least NLL in a blocked cross-validation."""

    def found(s: Sample) -> float:
        folds = _folds(s)
        if len(folds) < 2:
            return fit(s)
        loss = np.zeros(len(LAMBDAS))
        for held in folds:
            x = LAMBDAS * fit(_without(s, held))
            loss += s.total[np.searchsorted(s.x, x).clip(max=len(s.x) - 1)][:, held].sum(1)
        return float(LAMBDAS[np.argmin(loss)] * fit(s))

    return found


def guarded(fit: Fit, errors: float = 0.0) -> Fit:
    """Keep T = 1 unless the blocked cross-validation improves, by `errors` standard errors over frame pairs."""

    def found(s: Sample) -> float:
        folds = _folds(s)
        if len(folds) < 2:
            return fit(s)
        one, change = int(np.argmin(np.abs(s.x))), np.zeros(len(s.n))
        for held in folds:
            at = int(np.argmin(np.abs(s.x - fit(_without(s, held)))))
            change[held] = (s.total[at] - s.total[one])[held]
        spread = change.std(ddof=1) * np.sqrt(len(change)) if len(change) > 1 else 0.0
        return fit(s) if change.sum() + errors * spread < 0 else 0.0

    return found


FITS: dict[str, Fit] = {
    "T = 1": lambda s: 0.0,
    "no prior": lambda s: float(s.x[np.argmin(s.total.sum(1))]),
    "Gaussian, width 1": gaussian(1.0),
    "Gaussian, width 0.5 (default)": gaussian(0.5),
    "Gaussian, width 0.25": gaussian(0.25),
    "Gaussian, width 1, below T = 1 0.25": gaussian(1.0, 0.25),
    "Gaussian, width 1, below T = 1 0.1": gaussian(1.0, 0.1),
    "pseudo-daughters, n0 = 2": pseudo(2),
    "pseudo-daughters, n0 = 5": pseudo(5),
    "pseudo-daughters, n0 = 10": pseudo(10),
    "pseudo-daughters, n0 = 20": pseudo(20),
    "pseudo-daughters, n0 = 50": pseudo(50),
    "shrunk by cross-validation": shrunk(gaussian(1.0)),
    "T = 1 unless cross-validation gains": guarded(gaussian(1.0)),
    "T = 1 unless it gains a standard error": guarded(gaussian(1.0), 1.0),
    "the same, width 0.5 (`torchtrack-uq fit`)": guarded(gaussian(0.5), 1.0),
}


def _folds(s: Sample) -> list[NDArray[np.int64]]:
    """Contiguous blocks of the annotated frame pairs."""
    return [fold for fold in np.array_split(np.arange(len(s.n)), min(N_FOLDS, len(s.n))) if len(fold)]


def _without(s: Sample, held: NDArray[np.int64]) -> Sample:
    kept = np.setdiff1d(np.arange(len(s.n)), held)
    return Sample(s.x, s.total[:, kept], s.n[kept], s.cross)
