"""How well a movie is tracked: links that are wrong, links in doubt, errors that the posterior expects."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.corrupt import CorruptionRates
from torchtrack_uq.datasets.simulation import simulate
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.planning.culture import Culture
from torchtrack_uq.trackers.gaps import max_gap_of
from torchtrack_uq.truth.decisions import judge_decisions
from torchtrack_uq.truth.targets import LinkTargets
from torchtrack_uq.uncertain_tracker import UncertainTracker

SURE = 0.9
"""Links below are in doubt."""
MEASURES = ("wrong", "doubtful", "expected")


@dataclass(frozen=True)
class Outcome:
    """Of the links that a user gets (`TrackingResult.selected`, or none), for all daughters that can be judged.

    Attributes:
        wrong: Share of the daughters whose mother, or that she has none, is wrong.
        doubtful: Share of the daughters whose decision has a probability below `SURE`.
        expected: Share of wrong ones that the probabilities expect.
        n: How many daughters.
        errors: Standard errors of the three shares; NaN of a single movie.
    """

    wrong: float
    doubtful: float
    expected: float
    n: int
    errors: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    @classmethod
    def mean(cls, outcomes: "Sequence[Outcome]") -> "Outcome":
        """Of several movies alike, with the standard errors that they show.

        Raises:
            InputError: There are fewer than two.

        >>> Outcome.mean([Outcome(0.25, 0.5, 0.5, 50), Outcome(0.75, 0.5, 0.5, 50)]).errors
        (0.25, 0.0, 0.0)
        """
        if len(outcomes) < 2:
            raise InputError(f"got {len(outcomes)} movie(s); a standard error needs at least two")
        shares = np.array([[getattr(one, name) for name in MEASURES] for one in outcomes])
        weight = np.array([one.n for one in outcomes], dtype=np.float64)
        centre = weight @ shares / weight.sum()
        square = (weight**2)[:, None] * (shares - centre) ** 2
        count = len(outcomes)
        errors = np.sqrt(square.sum(axis=0) * count / (count - 1)) / weight.sum()
        n = int(weight.sum())
        # movies that happen to show no error at all do not prove that there is none
        wrong_error, doubtful_error, expected_error = (
            max(float(errors[0]), 1 / n),
            float(errors[1]),
            float(errors[2]),
        )
        wrong, doubtful, expected = (float(share) for share in centre)
        return cls(wrong, doubtful, expected, n, (wrong_error, doubtful_error, expected_error))


def outcome_of(tracker: UncertainTracker, detections: Detections, targets: LinkTargets) -> Outcome:
    """Track a movie and hold what comes out against the truth.

    Args:
        tracker: Tracks it.
        detections: Its cells.
        targets: Their true mothers, over as many frames as the tracker's links span.

    Raises:
        InputError: Nothing can be judged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a movie that nobody will look at
        result = tracker.track_detections(detections, progress=False)
    return judged(result.probabilities, result.selected, targets)


def judged(probabilities: LinkProbabilities, selected: NDArray[np.bool_], targets: LinkTargets) -> Outcome:
    """Hold decisions against the truth.

    Raises:
        InputError: Nothing can be judged.
    """
    decisions = judge_decisions(probabilities, selected, targets)
    if not len(decisions):
        raise InputError("the movie has no daughter whose mother is known; expected more cells or frames")
    p = np.minimum(decisions.probability, 1.0)
    return Outcome(
        float(1 - decisions.correct.mean()), float((p < SURE).mean()), float((1 - p).mean()), len(decisions)
    )


def predict(
    culture: Culture,
    interval: float,
    *,
    n_cells: int = 200,
    n_frames: int = 10,
    repeats: int = 4,
    seed: int = 0,
) -> Outcome:
    """Simulate movies and track them with `DistanceTracker` and `auto`, as `track --points` does by default.

    Args:
        culture: The cells.
        interval: Time between frames.
        n_cells: In a frame half-way through.
        n_frames: Of each movie.
        repeats: How many movies, at least 2: their differences make the standard errors.
        seed: The same seed makes the same outcome.

    Raises:
        InputError: Too few movies, or as `Culture.conditions`.

    >>> from torchtrack_uq.planning.culture import Walk
    >>> slow = predict(Culture(1.0, Walk(0.01)), 1.0, n_cells=30, n_frames=4, repeats=2)
    >>> slow.wrong, slow.n
    (0.0, 182)
    """
    if repeats < 2:
        raise InputError(f"got {repeats} repeat(s); a standard error needs at least two movies")
    conditions = culture.conditions(interval, n_cells, n_frames)
    errors = CorruptionRates(missed=culture.missed)
    tracker = UncertainTracker("distance", "auto")
    outcomes = []
    for k in range(repeats):
        movie = simulate(conditions, seed * repeats + k, errors)
        targets = movie.targets(max_gap_of(tracker.tracker))
        outcomes.append(outcome_of(tracker, movie.detections, targets))
    return Outcome.mean(outcomes)
