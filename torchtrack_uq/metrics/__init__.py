"""Calibration metrics: torchmetrics Metrics over judged daughters and events, and all of them as plain numbers."""

from torchtrack_uq.metrics.collection import calibration_metrics
from torchtrack_uq.metrics.daughters import (
    AURC,
    AUSE,
    BrierScore,
    DaughterMetric,
    MotherAccuracy,
    NegativeLogLikelihood,
    TopLabelCalibrationError,
    UnreachableDaughters,
    example_daughters,
)
from torchtrack_uq.metrics.event_calibration import EventCalibrationError
from torchtrack_uq.metrics.registry import METRICS, make_metric
from torchtrack_uq.metrics.summary import Interval, summarise, summarise_with_intervals

__all__ = [
    "AURC",
    "AUSE",
    "METRICS",
    "BrierScore",
    "DaughterMetric",
    "EventCalibrationError",
    "Interval",
    "MotherAccuracy",
    "NegativeLogLikelihood",
    "TopLabelCalibrationError",
    "UnreachableDaughters",
    "calibration_metrics",
    "example_daughters",
    "make_metric",
    "summarise",
    "summarise_with_intervals",
]
