"""Uncertainty for cell tracking: calibrated link probabilities and assignment posteriors for any tracker."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchtrack_uq.calibration import Calibration, ScoredMovie, describe_fit, fit_temperature
    from torchtrack_uq.candidates import CandidateGraph
    from torchtrack_uq.corrections import confirm, forbid
    from torchtrack_uq.detections import Detections
    from torchtrack_uq.errors import InputError
    from torchtrack_uq.guarantees import AcceptanceThreshold, ConformalSets
    from torchtrack_uq.judged import JudgedDaughters, judge
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
    from torchtrack_uq.link_chunks import LinkChunk
    from torchtrack_uq.metrics import summarise
    from torchtrack_uq.movie import Movie
    from torchtrack_uq.perturb import NoiseSizes
    from torchtrack_uq.probabilities import LinkProbabilities
    from torchtrack_uq.result import TrackingResult
    from torchtrack_uq.targets import LinkTargets
    from torchtrack_uq.trackers import (
        ActivityTracker,
        DistanceTracker,
        OverlapTracker,
        PerturbableTracker,
        StreamingTracker,
        TrackastraTracker,
        Tracker,
    )
    from torchtrack_uq.uncertain_tracker import UncertainTracker

__version__ = "0.1.0"

__all__ = [
    "AcceptanceThreshold",
    "ActivityTracker",
    "AssignmentPosterior",
    "Calibration",
    "CandidateGraph",
    "ConformalSets",
    "Detections",
    "DistanceTracker",
    "EventOffsets",
    "FeaturePerturbation",
    "FrequencyPosterior",
    "InputError",
    "JudgedDaughters",
    "LinkChunk",
    "LinkProbabilities",
    "LinkTargets",
    "Movie",
    "NoiseSizes",
    "OverlapTracker",
    "ParentalSoftmax",
    "PerturbableTracker",
    "PerturbedScores",
    "ScoredMovie",
    "StreamingTracker",
    "TemperatureScaler",
    "TrackastraTracker",
    "Tracker",
    "TrackingResult",
    "UncertainTracker",
    "UncertaintyLayer",
    "confirm",
    "describe_fit",
    "fit_temperature",
    "forbid",
    "judge",
    "summarise",
]

_HOME = {
    "AcceptanceThreshold": "guarantees",
    "ActivityTracker": "trackers",
    "AssignmentPosterior": "layers",
    "Calibration": "calibration",
    "CandidateGraph": "candidates",
    "ConformalSets": "guarantees",
    "Detections": "detections",
    "DistanceTracker": "trackers",
    "EventOffsets": "layers",
    "FeaturePerturbation": "layers",
    "FrequencyPosterior": "layers",
    "InputError": "errors",
    "JudgedDaughters": "judged",
    "LinkChunk": "link_chunks",
    "LinkProbabilities": "probabilities",
    "LinkTargets": "targets",
    "Movie": "movie",
    "NoiseSizes": "perturb",
    "OverlapTracker": "trackers",
    "ParentalSoftmax": "layers",
    "PerturbableTracker": "trackers",
    "PerturbedScores": "layers",
    "ScoredMovie": "calibration",
    "StreamingTracker": "trackers",
    "TemperatureScaler": "layers",
    "TrackastraTracker": "trackers",
    "Tracker": "trackers",
    "TrackingResult": "result",
    "UncertainTracker": "uncertain_tracker",
    "UncertaintyLayer": "layers",
    "confirm": "corrections",
    "describe_fit": "calibration",
    "fit_temperature": "calibration",
    "forbid": "corrections",
    "judge": "judged",
    "summarise": "metrics",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that `torchtrack_uq.assignment` needs no torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
