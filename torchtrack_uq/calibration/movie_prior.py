"""What other movies say of a tracker's temperature and event scores, fitted to what a movie looks like."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.calibration.first_look import LOOKS, first_look
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE, GaussianPrior
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.trackers.gaps import max_gap_of
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.protocol import Tracker

FORMAT = "torchtrack-uq prior 1"
_FOLDER = Path(__file__).parent / "priors"


@dataclass(frozen=True, eq=False)
class MoviePrior:
    """A Gaussian over log T and the offsets of event scores, whose mean depends on what a movie looks like.

    Learned from annotated movies of many kinds by a hierarchical regression: what a movie's annotation asks for, given
    its first look. Without any annotation its mean is what to use; with few annotated daughters `fit_events` starts
    from it; with many the data decide.

    Attributes:
        tracker: Identity of the tracker, such as "distance".
        version: When it was learned.
        movies: What it was learned from.
        names: K parameters, log T first.
        coefficients: (1 + L, K) float64, rows for the constant and for each of `LOOKS`.
        covariance: (K, K) float64, how movies differ around that mean.
        look_at: Temperature and offsets of the first look.
        lowest: (L,) float64, lowest looks of the movies it was learned from; farther ones count as these.
        highest: (L,) float64, likewise.

    Raises:
        InputError: Numbers that do not fit together.
    """

    tracker: str
    version: str
    movies: tuple[str, ...]
    names: tuple[str, ...]
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    look_at: tuple[float, dict[str, float]]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (1 + len(LOOKS), len(self.names))
        if self.coefficients.shape != shape or not np.isfinite(self.coefficients).all():
            raise InputError(f"coefficients have shape {self.coefficients.shape}; expected {shape}, finite")
        GaussianPrior(self.names, self.coefficients[0], self.covariance)

    @property
    def name(self) -> str:
        """Tracker and version."""
        return f"{self.tracker} {self.version}"

    def at(self, graph: CandidateGraph) -> GaussianPrior:
        """The prior for a movie; takes about as long as its marginals.

        Args:
            graph: The movie's candidate links as the tracker scores them.
        """
        look = first_look(graph.detach(), *self.look_at).numpy().clip(self.lowest, self.highest)
        return GaussianPrior(self.names, np.array([1.0, *look]) @ self.coefficients, self.covariance)

    def layer(self, layer: UncertaintyLayer, graph: CandidateGraph) -> UncertaintyLayer:
        """A layer of the same method, with the temperature and the event scores that are likely for a movie.

        Args:
            layer: Its method is used, its temperature and event scores are not.
            graph: As for `at`.
        """
        mean = self.at(graph).values
        temperature = math.exp(mean.pop(LOG_TEMPERATURE))
        return UncertaintyLayer(layer.posterior, temperature, events=EventOffsets(**mean)).to(graph.device)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a file."""
        temperature, offsets = self.look_at
        return {
            "version": self.version,
            "movies": list(self.movies),
            "names": list(self.names),
            "coefficients": self.coefficients.tolist(),
            "covariance": self.covariance.tolist(),
            "look_at": {"temperature": temperature, **offsets},
            "lowest": self.lowest.tolist(),
            "highest": self.highest.tolist(),
        }

    @classmethod
    def from_json(cls, tracker: str, content: Mapping[str, Any]) -> "MoviePrior":
        """From `to_json`.

        Raises:
            InputError: Something else was given.
        """
        try:
            offsets = dict(content["look_at"])
            look_at = (float(offsets.pop("temperature")), offsets)
            arrays = [
                np.array(content[name], float) for name in ("coefficients", "covariance", "lowest", "highest")
            ]
            texts = [tuple(str(item) for item in content[name]) for name in ("movies", "names")]
            version = str(content["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"this is no prior: {error!r}") from error
        coefficients, covariance, lowest, highest = arrays
        movies, names = texts
        return cls(tracker, version, movies, names, coefficients, covariance, look_at, lowest, highest)


def movie_prior(tracker: Tracker) -> MoviePrior | None:
    """The prior that comes with the package for a tracker, None where there is none.

    There is one for the trackers that come with the package, as long as their event scores are their own: offsets mean
    something only beside the scores that they were learned with. For links over two frames and more it is another one
    than for links between consecutive frames.

    >>> from torchtrack_uq import DistanceTracker
    >>> prior = movie_prior(DistanceTracker())
    >>> prior.tracker, prior.names
    ('distance', ('log_temperature', 'appear', 'disappear', 'divide'))
    >>> print(movie_prior(DistanceTracker(divide=-1.0)))
    None
    """
    if not getattr(tracker, "default_events", False):
        return None
    identity = getattr(tracker, "prior_identity", None) or tracker_identity(tracker)
    return _bundled().get((identity, min(max_gap_of(tracker), 2)))


@cache
def _bundled() -> dict[tuple[str, int], MoviePrior]:
    found = {}
    for file in sorted(_FOLDER.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(
                f"{file} is of format {content['format']!r}; expected {FORMAT!r}: install the package again"
            )
        for gap, values in content["gaps"].items():
            found[content["tracker"], int(gap)] = MoviePrior.from_json(content["tracker"], values)
    return found


def mean_prior(priors: list[GaussianPrior]) -> GaussianPrior:
    """One prior for a fit to several movies: the mean of their means, with the covariance that they share.

    Raises:
        InputError: There is none.
    """
    if not priors:
        raise InputError("there is no movie to take a prior of")
    first = priors[0]
    return GaussianPrior(first.names, np.mean([prior.mean for prior in priors], axis=0), first.covariance)
