"""Calibration: temperatures and event scores fitted on annotated movies, and the files that hold them.

`torchtrack_uq.calibration.lightning` has the same fit as a LightningModule; it is imported only when asked for.
"""

from torchtrack_uq.calibration.describe import describe_fit
from torchtrack_uq.calibration.events import EventFit, FeasibleTruth, fit_events
from torchtrack_uq.calibration.file import Calibration, fingerprint
from torchtrack_uq.calibration.fit import TemperatureFit, fit_temperature
from torchtrack_uq.calibration.movies import read_annotated, score_folders, score_movie
from torchtrack_uq.calibration.objective import CalibrationWarning, TemperatureObjective
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.calibration.worth import Worth, worth_of_scaling

__all__ = [
    "Calibration",
    "CalibrationWarning",
    "EventFit",
    "FeasibleTruth",
    "ScoredMovie",
    "TemperatureFit",
    "TemperatureObjective",
    "Worth",
    "describe_fit",
    "fingerprint",
    "fit_events",
    "fit_temperature",
    "read_annotated",
    "score_folders",
    "score_movie",
    "worth_of_scaling",
]
