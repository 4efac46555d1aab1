"""Uncertainty for cell tracking: calibrated link probabilities and assignment posteriors for any tracker."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchtrack_uq.candidates import CandidateGraph
    from torchtrack_uq.detections import Detections
    from torchtrack_uq.errors import InputError
    from torchtrack_uq.layers import (
        AssignmentPosterior,
        EventOffsets,
        FeaturePerturbation,
        FrequencyPosterior,
        ParentalSoftmax,
        PerturbedScores,
        TemperatureScaler,
        UncertaintyLayer,
    )
    from torchtrack_uq.movie import Movie
    from torchtrack_uq.perturb import NoiseSizes
    from torchtrack_uq.probabilities import LinkProbabilities
    from torchtrack_uq.result import TrackingResult
    from torchtrack_uq.trackers import (
        ActivityTracker,
        DistanceTracker,
        OverlapTracker,
        PerturbableTracker,
        TrackastraTracker,
        Tracker,
    )
    from torchtrack_uq.uncertain_tracker import UncertainTracker

__version__ = "0.1.0"

__all__ = [
    "ActivityTracker",
    "AssignmentPosterior",
    "CandidateGraph",
    "Detections",
    "DistanceTracker",
    "EventOffsets",
    "FeaturePerturbation",
    "FrequencyPosterior",
    "InputError",
    "LinkProbabilities",
    "Movie",
    "NoiseSizes",
    "OverlapTracker",
    "ParentalSoftmax",
    "PerturbableTracker",
    "PerturbedScores",
    "TemperatureScaler",
    "TrackastraTracker",
    "Tracker",
    "TrackingResult",
    "UncertainTracker",
    "UncertaintyLayer",
]

_HOME = {
    "ActivityTracker": "trackers",
    "AssignmentPosterior": "layers",
    "CandidateGraph": "candidates",
    "Detections": "detections",
    "DistanceTracker": "trackers",
    "EventOffsets": "layers",
    "FeaturePerturbation": "layers",
    "FrequencyPosterior": "layers",
    "InputError": "errors",
    "LinkProbabilities": "probabilities",
    "Movie": "movie",
    "NoiseSizes": "perturb",
    "OverlapTracker": "trackers",
    "ParentalSoftmax": "layers",
    "PerturbableTracker": "trackers",
    "PerturbedScores": "layers",
    "TemperatureScaler": "layers",
    "Tracker": "trackers",
    "TrackastraTracker": "trackers",
    "TrackingResult": "result",
    "UncertainTracker": "uncertain_tracker",
    "UncertaintyLayer": "layers",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that `torchtrack_uq.assignment` needs no torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
