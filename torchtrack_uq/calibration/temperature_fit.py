"""Fit a temperature on annotated movies, without Lightning."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from torchtrack_uq.calibration.calibration_warning import CalibrationWarning
from torchtrack_uq.calibration.cross_validation import CrossValidation
from torchtrack_uq.calibration.objective import (
    FEWEST_MOVIES,
    LARGEST,
    PRIOR_WIDTH,
    SETTLED,
    SMALLEST,
    TemperatureObjective,
)
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import UncertaintyLayer

N_SCANNED = 15
"""Temperatures tried before the search, evenly in log T; each valley that they see is entered."""

BEYOND_ALL = 1e9  # stands for infinity, which the search cannot compute with


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature T.

    Attributes:
        temperature: T.
        nll_before: Mean negative log-likelihood (nats) of the true mothers at T = 1.
        nll_after: The same at T.
        n_daughters: Annotated daughters that T was fitted on.
        n_unreachable: Annotated daughters whose true mother is no candidate, left out.
        at_bound: Whether T ran to the end of the range that was searched.
        cross_validation: What fitting changed on annotated daughters that were left out for a moment.
        kept_at_one: Whether that was no gain, so that T is 1 although another T fits these daughters better.
        prior_width: Width of the prior on log T, or None.
    """

    temperature: float
    nll_before: float
    nll_after: float
    n_daughters: int
    n_unreachable: int
    at_bound: bool
    cross_validation: CrossValidation
    kept_at_one: bool
    prior_width: float | None


def fit_temperature(
    layer: UncertaintyLayer,
    movies: Sequence[ScoredMovie],
    *,
    prior_width: float | None = PRIOR_WIDTH,
    cautious: bool = False,
) -> TemperatureFit:
    """Find the temperature at which the true mothers are likeliest, and leave it in the layer.

    A scan of T in [0.01, 100] finds the valley (the likelihood of marginals may have more than one), Brent's
    method its floor. Where the start is does not matter. The K best assignments (AS) and the frequencies (FP+A)
    are found once.

    Args:
        layer: Method and temperature; `layer.scaler.temperature` and `.fitted` are set.
        movies: Annotated movies, scored by the tracker that the temperature is for.
        prior_width: Standard deviation of a Gaussian prior on log T that draws T to 1 where annotations are few;
            None for none. It adds (log T)^2 / (2 width^2) nats to what all daughters together weigh, 1 nat at
            the default of 0.5 and T = 2: a few daughters outweigh it, but a movie that shows hardly an error does
            not run away to T near 0, which its first unseen errors would punish.
        cautious: Keep T = 1 unless the fit gains more than a standard error on annotated frame pairs that were left
            out of it (on movies, where there are three or more): see `cross_validate`.

    Warns:
        CalibrationWarning: T ran to a bound, T = 1 was kept, or all annotated daughters have a mother (or none has).

    Raises:
        InputError: There is nothing to fit on; see `TemperatureObjective`.

    >>> import numpy as np
    >>> import torch
    >>> from torchtrack_uq import CandidateGraph, Detections
    >>> from torchtrack_uq.truth.targets import LinkTargets
    >>> cells = Detections.from_points(np.repeat([0, 1], 10), np.zeros((20, 2)))
    >>> graph = CandidateGraph.from_links(cells, np.arange(10), np.arange(10, 20), np.full(10, 6.0))
    >>> mothers = torch.full((20,), -1)
    >>> mothers[10:18] = torch.arange(8)  # 8 of the 10 links are true; the scores promise 99.75 %
    >>> movie = ScoredMovie("ten links", graph, LinkTargets.from_mothers(mothers, graph.frame))
    >>> layer = UncertaintyLayer("SM")
    >>> found = fit_temperature(layer, [movie], prior_width=None)
    >>> round(found.temperature, 2), round(layer(graph).link[0].item(), 3)  # 6 / T = log(0.8 / 0.2)
    (4.33, 0.8)
    """
    before, was_fitted = float(layer.scaler.temperature.detach()), layer.scaler.fitted.clone()
    objective = TemperatureObjective(layer, movies, prior_width)
    try:
        best, lowest = _lowest(objective)
        if lowest == BEYOND_ALL:
            raise InputError(
                "these frames are too ambiguous for method exact at every temperature: fit method auto, which is exact "
                "where that is possible"
            )
        return finish(layer, objective, best, cautious)
    except BaseException:  # an interrupted fit leaves the layer as it was
        layer.scaler.temperature = before
        layer.scaler.fitted.copy_(was_fitted)
        raise


def finish(
    layer: UncertaintyLayer, objective: TemperatureObjective, log_temperature: float, cautious: bool
) -> TemperatureFit:
    """Set the layer's temperature, or keep T = 1 if that is the cautious choice, and report.

    Warns:
        CalibrationWarning: T ran to a bound, or T = 1 was kept.
    """
    nll_before, nll_after = objective.likelihood(0.0), objective.likelihood(log_temperature)
    held_out = objective.cross_validation()
    kept_at_one = cautious and not held_out.gains
    if kept_at_one:
        left_out = "movies" if len(objective.movies) >= FEWEST_MOVIES else "frame pairs"
        warnings.warn(
            f"T = {math.exp(log_temperature):.3g} fits these {objective.n_daughters} daughters best, but fitted "
            f"without some of the {left_out} it changes the NLL of those by {held_out.change:+.4f} (standard error "
            f"{held_out.error:.4f}), which is no clear gain: T = 1 is kept; annotate more frames, "
            "or do not be cautious",
            CalibrationWarning,
            stacklevel=3,
        )
        log_temperature, nll_after = 0.0, nll_before
    layer.scaler.temperature = math.exp(log_temperature)
    layer.scaler.fitted.fill_(True)
    low, high = math.log(SMALLEST), math.log(LARGEST)
    at_bound = log_temperature < low + SETTLED or log_temperature > high - SETTLED
    if at_bound:
        why = (
            "the tracker is hardly ever wrong on these annotations, so they cannot say how sure it should be"
            if log_temperature < 0
            else "the tracker's scores say nothing about which mother is right"
        )
        warnings.warn(
            f"the temperature ran to its bound, T = {math.exp(log_temperature):.3g} ({layer.method}, "
            f"{objective.n_daughters} daughters): {why}; annotate harder cases, or use the default "
            f"prior_width={PRIOR_WIDTH}",
            CalibrationWarning,
            stacklevel=3,
        )
    return TemperatureFit(
        math.exp(log_temperature),
        nll_before,
        nll_after,
        objective.n_daughters,
        objective.n_unreachable,
        at_bound,
        held_out,
        kept_at_one,
        objective.prior_width,
    )


def scan(objective: TemperatureObjective) -> tuple[np.ndarray, np.ndarray]:
    """Values of log T, evenly over the range, and the objective there; both (N_SCANNED,) float64."""
    grid = np.linspace(math.log(SMALLEST), math.log(LARGEST), N_SCANNED)
    return grid, np.array([objective.value(float(x)) for x in grid])


def _lowest(objective: TemperatureObjective) -> tuple[float, float]:
    """Log T of the deepest valley, and the objective there; `BEYOND_ALL` if it is finite nowhere."""
    grid, value = scan(objective)
    # ends of a flat stretch count as its floor, so that a plateau hides no valley
    padded = np.concatenate([[np.inf], value, [np.inf]])
    valleys = np.flatnonzero((padded[1:-1] <= padded[:-2]) & (padded[1:-1] <= padded[2:]))
    best_x, best_value = 0.0, BEYOND_ALL
    for k in valleys[np.argsort(value[valleys], kind="stable")][:3]:
        low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
        found = minimize_scalar(
            lambda x: min(objective.value(x), BEYOND_ALL),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-5},
        )
        for x, y in ((float(found.x), float(found.fun)), (float(grid[k]), float(value[k]))):
            if y < best_value:
                best_x, best_value = x, y
    return best_x, best_value
