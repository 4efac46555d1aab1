"""What a temperature is fitted by: the negative log-likelihood of the true mothers, with a prior on T."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.calibration.calibration_warning import CalibrationWarning
from torchtrack_uq.calibration.cross_validation import CrossValidation, cross_validate
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.truth.judged import true_log_p

SMALLEST, LARGEST = 0.01, 100.0
"""Temperatures are sought between these."""
LEAST_LOG_P = math.log(1e-12)
PRIOR_WIDTH = 0.5
"""Width of the prior on log T. On frames between the annotated ones it does as well as 1, and better where a movie goes
on to become harder (experiments/results/robust_temperature.md)."""
STEP = 1e-2  # of the numerical derivative, in log T
FEWEST_MOVIES = 3
"""From so many movies on, whether a temperature is worth having is asked of movies, not of frame pairs."""
FEWEST_POINTS = 4  # of a curve that is interpolated
CLOSEST = 0.02  # in log T, between points of a curve that is interpolated
SETTLED = 1e-3
"""An optimum this close to a bound, in log T, is at the bound."""


class TemperatureObjective:
    """Mean negative log-likelihood of the true mothers, as a function of log T, plus a prior that draws T to 1.

        f(log T) = (1/n) [ -sum over daughters of log P_T(true mother) + (log T)^2 / (2 w^2) ]

    with w the width of a Gaussian prior on log T. Daughters whose true mother is no candidate are left out: no
    temperature helps them. Probabilities count as at least 1e-12. (Temperature scaling: Guo et al., ICML 2017.)

    Args:
        layer: The method; its temperature is changed by evaluating.
        movies: Annotated movies.
        prior_width: w, or None for no prior.

    Attributes:
        n_daughters: Number n of daughters that the mean is over.
        n_unreachable: Daughters that were left out.

    Raises:
        InputError: No movie, no annotated daughter, none that can be reached, or a width that is not positive.
    """

    def __init__(
        self, layer: UncertaintyLayer, movies: Sequence[ScoredMovie], prior_width: float | None = PRIOR_WIDTH
    ) -> None:
        if not movies:
            raise InputError("there is no annotated movie to calibrate on")
        if prior_width is not None and not prior_width > 0:
            raise InputError(f"prior_width must be positive, or None for no prior, got {prior_width}")
        self.layer, self.prior_width = layer, prior_width
        reachable = [movie.targets.reachable(movie.graph) for movie in movies]
        self.n_daughters = sum(int(cells.sum()) for cells in reachable)
        self.n_unreachable = sum(movie.targets.n_judged for movie in movies) - self.n_daughters
        names = ", ".join(movie.name for movie in movies)
        if self.n_daughters + self.n_unreachable == 0:
            raise InputError(
                f"no annotated daughter in {names}: calibration needs cells after the first frame whose mother (or "
                "lack of one) is known"
            )
        if self.n_daughters == 0:
            raise InputError(
                f"the true mother of none of the {self.n_unreachable} annotated daughters of {names} is a candidate: "
                "nothing can be fitted; let the tracker search farther"
            )
        self._warn_of_one_class(movies, reachable)
        # the classes of the mean must not depend on T, so they are settled here
        judged = [movie.only(cells) for movie, cells in zip(movies, reachable, strict=True) if cells.any()]
        self.movies = [movie if movie.solved is not None else movie.solve(layer) for movie in judged]
        self._units = [_units_of(movie, by_movie=len(judged) >= FEWEST_MOVIES) for movie in self.movies]
        self._seen: dict[float, NDArray[np.float64]] = {}

    def _warn_of_one_class(self, movies: Sequence[ScoredMovie], reachable: Sequence[Tensor]) -> None:
        linked = sum(int((m.targets.mother[c] >= 0).sum()) for m, c in zip(movies, reachable, strict=True))
        if linked in (0, self.n_daughters):
            seen, unseen = ("a mother", "no mother") if linked else ("no mother", "a mother")
            warnings.warn(
                f"all {self.n_daughters} annotated daughters have {seen}: the temperature is fitted, but how well "
                f"it does for cells with {unseen} is not known",
                CalibrationWarning,
                stacklevel=4,
            )

    @torch.no_grad()
    def value(self, log_temperature: float) -> float:
        """The objective at a temperature, as a number; the layer keeps that temperature."""
        prior = self._prior(torch.tensor(log_temperature, dtype=torch.float64))
        return self.likelihood(log_temperature) + float(prior)

    @torch.no_grad()
    def likelihood(self, log_temperature: float) -> float:
        """The objective without the prior; inf where the method refuses frames as too ambiguous at that temperature."""
        self.layer.scaler.temperature = math.exp(log_temperature)
        try:
            return float(self._likelihood())
        except InputError:
            if not self.layer.posterior.may_refuse:
                raise
            return math.inf

    def loss(self) -> Tensor:
        """The objective at the layer's temperature, with gradient in `layer.scaler.raw_temperature` (log T).

        By autograd where that is exact and cheap (SM, FP, FP+A, AS), else by central differences.
        """
        raw = self.layer.scaler.raw_temperature
        if self.layer.posterior.cheap_gradient:
            return self._likelihood() + self._prior(raw)
        likelihood: Tensor = _AlongTemperature.apply(raw, self)  # type: ignore[no-untyped-call]
        return likelihood + self._prior(raw)

    def _likelihood(self) -> Tensor:
        parts = []
        for movie, unit in zip(self.movies, self._units, strict=True):
            log_p = true_log_p(self.layer(movie.scores, movie.solved), movie.targets)
            nats = -log_p.clamp(min=LEAST_LOG_P).cpu()
            parts.append(nats.new_zeros(int(unit.max()) + 1).index_add(0, unit, nats))
        nats = torch.cat(parts)
        if bool(torch.isfinite(nats).all()):
            self._seen[float(self.layer.scaler.raw_temperature.detach())] = nats.detach().numpy()
        return nats.sum() / self.n_daughters

    def cross_validation(self) -> CrossValidation:
        """What the temperature changes on daughters that it is not fitted on, from where the objective was evaluated.

        By cross-validation over blocks of frame pairs, or over movies where there are at least three. NaN where T = 1
        is beyond what the method can do, or too few temperatures are not.
        """
        points = list[float]()
        for x in sorted(self._seen, key=lambda x: (x != 0.0, x)):  # T = 1 first, and nothing next to a point
            if all(abs(x - other) > CLOSEST for other in points):
                points.append(x)
        points.sort()
        n = np.concatenate([np.bincount(unit.numpy()) for unit in self._units])
        if 0.0 not in points or len(points) < FEWEST_POINTS:
            return CrossValidation(math.nan, math.nan, int((n > 0).sum()))
        total = np.array([self._seen[x] for x in points])
        return cross_validate(np.array(points), total[:, n > 0], n[n > 0], self.prior_width)

    def _prior(self, log_temperature: Tensor) -> Tensor:
        if self.prior_width is None:
            return torch.zeros((), dtype=torch.float64)
        # a copy: evaluating elsewhere changes the parameter in place, which must not reach the saved square
        return (log_temperature.cpu() * 1.0) ** 2 / (2 * self.prior_width**2 * self.n_daughters)


def _units_of(movie: ScoredMovie, *, by_movie: bool) -> Tensor:
    """(D,) int64, the frame pair of each daughter that counts, or 0 for all of a movie."""
    pair = movie.graph.frame[movie.targets.known.to(movie.graph.device)].cpu()
    return torch.zeros_like(pair) if by_movie else pair - 1


class _AlongTemperature(torch.autograd.Function):
    """The likelihood as a function of log T, with a derivative by central differences."""

    @staticmethod
    def forward(ctx: Any, log_temperature: Tensor, objective: TemperatureObjective) -> Tensor:
        at = float(log_temperature.detach())
        ctx.objective, ctx.at = objective, at
        return torch.tensor(objective.likelihood(at), dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        objective: TemperatureObjective = ctx.objective
        ahead, behind = (objective.likelihood(ctx.at + sign * STEP) for sign in (1, -1))
        objective.layer.scaler.temperature = math.exp(ctx.at)
        return grad * (ahead - behind) / (2 * STEP), None
