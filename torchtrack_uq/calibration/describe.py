"""From a fitted layer to the calibration that can be saved."""

import math
from collections.abc import Sequence

import torch

from torchtrack_uq.calibration.file import Calibration, fingerprint
from torchtrack_uq.calibration.objective import PRIOR_WIDTH
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees import ReviewStatistic, judge_decisions
from torchtrack_uq.judged import judge
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.tracks import map_links


@torch.no_grad()
def describe_fit(
    layer: UncertaintyLayer,
    tracker: Tracker,
    movies: Sequence[ScoredMovie],
    *,
    stride: int = 1,
    nll_before: float | None = None,
    prior_width: float | None = PRIOR_WIDTH,
) -> Calibration:
    """What a fitted layer holds for, with all that `--temperature FILE` and `--accept-error` need.

    Args:
        layer: The method with its fitted temperature, and event scores if they were fitted too.
        tracker: What scored the movies.
        movies: The annotated movies that it was fitted on; if `solved`, then with this layer's event scores.
        stride: Their temporal stride.
        nll_before: `nll_reachable` of `summarise` before the fit; by default it is found at T = 1, or NaN where event
            scores were fitted as well.
        prior_width: The prior that it was fitted with, or None.

    Returns:
        The calibration, with counts of right and wrong decisions by their probability.

    Raises:
        InputError: No movie, or movies without an annotated daughter whose true mother is a candidate.

    >>> import numpy as np
    >>> import torch
    >>> from torchtrack_uq import Detections, DistanceTracker
    >>> from torchtrack_uq.calibration import fit_temperature
    >>> from torchtrack_uq.targets import LinkTargets
    >>> places = np.array([[0.0, 0], [0, 20], [0, 4], [0, 17], [40, 0]])
    >>> cells = Detections.from_points(np.array([0, 0, 1, 1, 1]), places)
    >>> tracker = DistanceTracker()
    >>> truth = LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 1, -1]), torch.tensor([0, 0, 1, 1, 1]))
    >>> movie = ScoredMovie("five cells", tracker.candidates(cells), truth)
    >>> layer = UncertaintyLayer("SM")
    >>> found = fit_temperature(layer, [movie])
    >>> calibration = describe_fit(layer, tracker, [movie])
    >>> calibration.tracker, calibration.n_daughters, calibration.temperature == found.temperature
    ('distance', 3, True)
    """
    n_daughters = sum(int(movie.targets.reachable(movie.graph).sum()) for movie in movies)
    if n_daughters == 0:
        raise InputError(
            "there is no annotated daughter whose true mother is a candidate: nothing was fitted"
        )
    judged, counts = [], []
    for movie in movies:
        probabilities = layer(movie.scores, movie.solved)
        judged.append(judge(probabilities, movie.targets))
        decisions = judge_decisions(probabilities, map_links(layer.corrected(movie.graph)), movie.targets)
        counts.append(ReviewStatistic.of(decisions.probability, decisions.correct, decisions.linked))
    return Calibration(
        temperature=float(layer.temperature.detach()),
        method=layer.method,
        tracker=tracker_identity(tracker),
        stride=stride,
        offsets=None if layer.events is None else layer.events.values,
        n_daughters=n_daughters,
        nll_before=_nll_at_one(layer, movies) if nll_before is None else nll_before,
        nll_after=float(summarise(judged)["nll_reachable"]),
        prior_width=prior_width,
        movies=[movie.name for movie in movies],
        fingerprint=fingerprint(movies),
        review=sum(counts[1:], start=counts[0]),
    )


@torch.no_grad()
def _nll_at_one(layer: UncertaintyLayer, movies: Sequence[ScoredMovie]) -> float:
    if layer.events is not None:
        return math.nan  # what the movies were solved with is not what they were before
    fitted = float(layer.temperature)
    layer.scaler.temperature = 1.0
    try:
        return float(summarise([movie.judge(layer) for movie in movies])["nll_reachable"])
    except InputError:
        if layer.method != "exact":
            raise
        return math.nan  # too ambiguous at T = 1
    finally:
        layer.scaler.temperature = fitted
