"""From a fitted layer to the calibration that can be saved."""

import math
from collections.abc import Mapping, Sequence

import torch

from torchtrack_uq.calibration.event_fit import EventFit
from torchtrack_uq.calibration.file import Calibration, fingerprint
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.calibration.temperature_fit import TemperatureFit
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.acceptance import ReviewStatistic
from torchtrack_uq.layers import EventModel, UncertaintyLayer
from torchtrack_uq.layers.make import check_can_be_made_again
from torchtrack_uq.metrics import summarise
from torchtrack_uq.posterior.map_links import map_links
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.truth.decisions import judge_decisions
from torchtrack_uq.truth.judged import judge


@torch.no_grad()
def describe_fit(
    layer: UncertaintyLayer,
    tracker: Tracker,
    movies: Sequence[ScoredMovie],
    fit: TemperatureFit | EventFit,
    *,
    stride: int = 1,
    before: Mapping[str, float] | None = None,
    prior: str | None = None,
) -> Calibration:
    """What a fitted layer holds for, with all that `--temperature FILE` and `--accept-error` need.

    Args:
        layer: The method with its fitted temperature, and event scores if they were fitted too.
        tracker: What scored the movies.
        movies: The annotated movies that it was fitted on.
        fit: What `fit_temperature`, `fit_events` or the LightningModule found.
        stride: Temporal stride of the movies.
        before: What `summarise` says at T = 1; by default it is computed, but left out (NaN) where event scores were
            fitted as well.
        prior: Name of the prior that the fit was given, if any.

    Returns:
        The calibration, with counts of right and wrong decisions by their probability.

    Raises:
        InputError: The layer's temperature is not that of the fit, there is no movie, or name and options would not
            make the layer's method again: one of your own has to be registered first (`METHODS.add`).

    >>> import numpy as np
    >>> from torchtrack_uq import Detections, DistanceTracker
    >>> from torchtrack_uq.calibration import fit_temperature
    >>> from torchtrack_uq.truth.targets import LinkTargets
    >>> places = np.array([[0.0, 0], [0, 20], [0, 4], [0, 17], [40, 0]])
    >>> cells = Detections.from_points(np.array([0, 0, 1, 1, 1]), places)
    >>> tracker = DistanceTracker()
    >>> truth = LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 1, -1]), torch.tensor([0, 0, 1, 1, 1]))
    >>> movie = ScoredMovie("five cells", tracker.candidates(cells), truth)
    >>> layer = UncertaintyLayer("SM")
    >>> fit = fit_temperature(layer, [movie])
    >>> calibration = describe_fit(layer, tracker, [movie], fit)
    >>> calibration.tracker, calibration.n_daughters, calibration.temperature == fit.temperature
    ('distance', 3, True)
    """
    check_can_be_made_again(layer.posterior)
    temperature = float(layer.temperature)
    if not movies:
        raise InputError("there is no annotated movie to describe the fit by")
    if not math.isclose(temperature, fit.temperature, rel_tol=1e-6):
        raise InputError(f"the layer's temperature is {temperature:g}, but {fit.temperature:g} was fitted")
    if before is None:
        before = {} if layer.events is not None else _at_one(layer, movies)
    if layer.events is not None:  # they change which assignments are the best
        movies = [movie.solve(layer) for movie in movies]
    judged, counts = [], []
    for movie in movies:
        probabilities = layer(movie.scores, movie.solved)
        judged.append(judge(probabilities, movie.targets))
        decisions = judge_decisions(probabilities, map_links(layer.corrected(movie.graph)), movie.targets)
        counts.append(ReviewStatistic.of(decisions.probability, decisions.correct, decisions.linked))
    after = summarise(judged)
    return Calibration(
        temperature=temperature,
        method=layer.method,
        tracker=tracker_identity(tracker),
        stride=stride,
        offsets=None if layer.events is None else layer.events.values,
        event_model=layer.events.coefficients if isinstance(layer.events, EventModel) else None,
        n_daughters=fit.n_daughters,
        nll_before=float(before.get("nll_reachable", math.nan)),
        nll_after=float(after["nll_reachable"]),
        ece_before=float(before.get("ece", math.nan)),
        ece_after=float(after["ece"]),
        prior_width=fit.prior_width,
        movies=[movie.name for movie in movies],
        fingerprint=fingerprint(movies),
        review=sum(counts[1:], start=counts[0]),
        method_options=layer.options,
        max_gap=max(movie.graph.max_gap for movie in movies),
        prior=prior,
        standard_errors=_standard_errors(fit),
    )


def _standard_errors(fit: TemperatureFit | EventFit) -> dict[str, float | None] | None:
    """By name; None for what nothing is known of."""
    if isinstance(fit, TemperatureFit):
        return None
    errors = fit.certainty.standard_errors.items()
    return {name: value if math.isfinite(value) else None for name, value in errors}


def _at_one(layer: UncertaintyLayer, movies: Sequence[ScoredMovie]) -> dict[str, float]:
    fitted = float(layer.temperature)
    layer.scaler.temperature = 1.0
    try:
        return summarise([movie.judge(layer) for movie in movies])
    except InputError:
        if not layer.posterior.may_refuse:
            raise
        return {}  # too ambiguous at T = 1
    finally:
        layer.scaler.temperature = fitted
