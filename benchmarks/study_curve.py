"""Likelihood as a curve over temperatures: one movie's T, or that of many movies pooled, from the same numbers.

Each movie's negative log-likelihood, summed over the daughters of its first half, is evaluated on a fixed grid of
log T. Curves of several movies add up to the pooled likelihood, so that the temperature of "all movies but one"
costs nothing more. Between grid points the logarithm of the curve is interpolated by a cubic spline; the minimum of
curve + prior is what `fit_temperature` finds (tests/benchmarks compares them).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from torchtrack_uq.calibration import ScoredMovie, TemperatureObjective
from torchtrack_uq.layers import UncertaintyLayer

GRID = 0.12 * np.arange(-24, 33)
"""Log T from T = 0.056 to 46.5; T = 1 is one of its points, at every step."""
FINE, COARSE = 1, 4
"""Methods that sum over assignments anew at each temperature are evaluated at every fourth point of the grid."""
FLOOR = 1e-4  # nats a daughter; keeps the logarithm of a likelihood of 0 finite
PRIOR_WIDTH = 1.0
HOPELESS_FACTOR, HOPELESS_NATS = 2.0, 30.0
"""Above T = 1 the curve of a large movie that has risen so far above its minimum goes on as a straight line: sums
over nearly uniform posteriors are slow there, and no pooled minimum lies where a movie is so much worse off."""
LARGE = 32_000  # candidate links


@dataclass(frozen=True)
class Curve:
    """Negative log-likelihood over log T.

    Attributes:
        total: (G,) nats, summed over daughters, at every `step`-th point of `GRID`.
        n: Daughters whose true mother is a candidate.
        step: `FINE` or `COARSE`.
    """

    total: NDArray[np.float64]
    n: int
    step: int

    def nll(self) -> Callable[[float], float]:
        """Mean nats a daughter as a function of log T, between the points of the grid."""
        spline = CubicSpline(GRID[:: self.step], np.log(self.total / self.n + FLOOR))
        return lambda x: float(np.exp(spline(x)) - FLOOR)

    def to_json(self) -> dict[str, object]:
        """As plain numbers."""
        return {"total": [float(f"{value:.9g}") for value in self.total], "n": self.n, "step": self.step}

    @classmethod
    def from_json(cls, content: dict[str, object]) -> "Curve":
        """From what `to_json` made."""
        return cls(np.array(content["total"]), int(str(content["n"])), int(str(content["step"])))


def curve_of(layer: UncertaintyLayer, movie: ScoredMovie, step: int) -> Curve:
    """A movie's curve; the layer's temperature is what it was before.

    Raises:
        InputError: The movie has no daughter to fit on.
    """
    before = float(layer.temperature.detach())
    objective = TemperatureObjective(layer, [movie], prior_width=None)
    n = objective.n_daughters
    large = step > FINE and movie.graph.n_links > LARGE
    grid, total = GRID[::step], list[float]()
    for x in grid:
        total.append(objective.value(float(x)) * n)
        if large and x > 0 and total[-1] > HOPELESS_FACTOR * min(total) + HOPELESS_NATS:
            break
    rise = total[-1] - total[-2]
    total += [total[-1] + rise * (k + 1) for k in range(len(grid) - len(total))]
    layer.scaler.temperature = before
    return Curve(np.array(total), n, step)


def best_temperature(curves: Sequence[Curve], prior_width: float = PRIOR_WIDTH) -> float:
    """T with the least summed negative log-likelihood + (log T)^2 / (2 width^2).

    >>> slope = Curve(np.abs(GRID) * 10, 10, 1)
    >>> round(best_temperature([slope]), 2)
    1.0
    """
    step = max(curve.step for curve in curves)
    total = np.sum([curve.total[:: step // curve.step] for curve in curves], axis=0)
    n, grid = sum(curve.n for curve in curves), GRID[::step]
    nll = Curve(total, n, step).nll()

    def value(x: float) -> float:
        return n * nll(x) + x**2 / (2 * prior_width**2)

    at = int(np.argmin(total + grid**2 / (2 * prior_width**2)))
    bounds = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(f"{math.exp(found.x):.6g}")
