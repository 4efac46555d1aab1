"""Likelihood as a curve over temperatures: the T of any set of frame pairs, of one movie or many, from one evaluation.

The negative log-likelihood of each frame pair of a movie, summed over its daughters, is evaluated on a fixed grid of
log T. Curves of frame pairs add up, and so do those of movies, so that the temperature of any split, or of "all movies
but one", and the change of the likelihood on frame pairs that were not fitted on, cost nothing more. Between grid
points the logarithm of the curve is interpolated by a cubic spline; the minimum of curve + prior is what
`fit_temperature` finds (tests/study/test_curve.py compares them).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from torchtrack_uq.calibration import ScoredMovie, cross_validate
from torchtrack_uq.calibration.objective import LEAST_LOG_P, PRIOR_WIDTH
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.truth.judged import true_log_p

GRID = 0.12 * np.arange(-24, 33)
"""Log T from T = 0.056 to 46.5; T = 1 is one of its points, at every step."""
FINE, COARSE = 1, 4
"""Methods that sum over assignments anew at each temperature are evaluated at every fourth point of the grid."""
FLOOR = 1e-4  # nats a daughter; keeps the logarithm of a likelihood of 0 finite
HOPELESS_FACTOR, HOPELESS_NATS = 2.0, 30.0
"""Above T = 1 the curve of a large movie that has risen so far above its minimum goes on as a straight line: sums
over nearly uniform posteriors are slow there, and no pooled minimum lies where a movie is so much worse off."""
LARGE = 32_000  # candidate links


@dataclass(frozen=True)
class Curve:
    """Negative log-likelihood of F frame pairs over log T.

    Attributes:
        total: (G, F) nats, summed over daughters, at every `step`-th point of `GRID`.
        n: (F,) daughters whose true mother is a candidate.
        step: `FINE` or `COARSE`.
    """

    total: NDArray[np.float64]
    n: NDArray[np.int64]
    step: int

    def only(self, pairs: NDArray[np.bool_]) -> "Curve":
        """The curve of some frame pairs, by a (F,) mask."""
        return Curve(self.total[:, pairs], self.n[pairs], self.step)

    def nll(self) -> Callable[[float], float]:
        """Mean nats a daughter, of all frame pairs together, as a function of log T."""
        spline = CubicSpline(GRID[:: self.step], np.log(self.total.sum(1) / self.n.sum() + FLOOR))
        return lambda x: float(np.exp(spline(x)) - FLOOR)

    def at(self, log_temperature: float) -> NDArray[np.float64]:
        """(F,) nats, summed over the daughters of each frame pair; exact on the grid, so at T = 1."""
        n = np.maximum(self.n, 1)
        spline = CubicSpline(GRID[:: self.step], np.log(self.total / n + FLOOR))
        return np.asarray((np.exp(spline(log_temperature)) - FLOOR) * n)

    def to_json(self) -> dict[str, object]:
        """As plain numbers."""
        total = [[float(f"{value:.7g}") for value in row] for row in self.total]
        return {"total": total, "n": self.n.tolist(), "step": self.step}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Curve":
        """From what `to_json` made."""
        return cls(np.array(content["total"]), np.array(content["n"]), int(content["step"]))


@torch.no_grad()
def curve_of(layer: UncertaintyLayer, movie: ScoredMovie, step: int) -> Curve:
    """A movie's curve, one column a frame pair; the layer's temperature is what it was before."""
    before = float(layer.temperature.detach())
    graph = movie.graph
    movie = movie.only(movie.targets.reachable(graph))
    pair = (graph.frame[movie.targets.known] - 1).numpy()
    large = step > FINE and graph.n_links > LARGE
    grid, rows = GRID[::step], list[NDArray[np.float64]]()
    for x in grid:
        layer.scaler.temperature = math.exp(x)
        log_p = true_log_p(layer(movie.scores, movie.solved), movie.targets).clamp(min=LEAST_LOG_P)
        rows.append(np.bincount(pair, -log_p.numpy(), graph.n_frames - 1))
        lowest = min(row.sum() for row in rows)
        if large and x > 0 and rows[-1].sum() > HOPELESS_FACTOR * lowest + HOPELESS_NATS:
            break
    rise = np.maximum(rows[-1] - rows[-2], 0)
    rows += [rows[-1] + rise * (k + 1) for k in range(len(grid) - len(rows))]
    layer.scaler.temperature = before
    return Curve(np.array(rows), np.bincount(pair, minlength=graph.n_frames - 1), step)


def best_temperature(curves: Sequence[Curve], prior_width: float = PRIOR_WIDTH) -> float:
    """T with the least summed negative log-likelihood + (log T)^2 / (2 width^2).

    Raises:
        InputError: There is no daughter to fit on.

    >>> slope = Curve(np.abs(GRID)[:, None] * 10, np.array([10]), 1)
    >>> round(best_temperature([slope]), 2)
    1.0
    """
    step = max(curve.step for curve in curves)
    total = np.sum([curve.total[:: step // curve.step].sum(1) for curve in curves], axis=0)
    n, grid = int(sum(curve.n.sum() for curve in curves)), GRID[::step]
    if n == 0:
        raise InputError("there is no annotated daughter to fit on whose true mother is a candidate")
    nll = Curve(total[:, None], np.array([n]), step).nll()

    def value(x: float) -> float:
        return n * nll(x) + x**2 / (2 * prior_width**2)

    at = int(np.argmin(total + grid**2 / (2 * prior_width**2)))
    bounds = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(f"{math.exp(found.x):.6g}")


def cautious_temperature(curves: Sequence[Curve]) -> float:
    """`best_temperature`, or 1 where that is no clear gain: what `torchtrack-uq fit` does.

    With one curve, frame pairs are left out in turn; with several, the curves (`cross_validate`).
    """
    step = max(curve.step for curve in curves)
    if len(curves) == 1:
        total, n = curves[0].total, curves[0].n
    else:
        total = np.stack([curve.total[:: step // curve.step].sum(1) for curve in curves], axis=1)
        n = np.array([curve.n.sum() for curve in curves])
    best = best_temperature(curves)
    worth = cross_validate(GRID[::step], total[:, n > 0], n[n > 0], PRIOR_WIDTH)
    return best if worth.gains else 1.0
