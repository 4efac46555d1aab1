"""Calibration: temperatures and event scores fitted on annotated movies, and the files that hold them.

`torchtrack_uq.calibration.lightning` has the same fit as a LightningModule; it is imported only when asked for.
"""

from torchtrack_uq.calibration.bundled import bundled_calibration
from torchtrack_uq.calibration.cross_validation import CrossValidation, cross_validate
from torchtrack_uq.calibration.describe import describe_fit
from torchtrack_uq.calibration.event_fit import EventFit, fit_events
from torchtrack_uq.calibration.file import Calibration, fingerprint
from torchtrack_uq.calibration.fit_certainty import FitCertainty
from torchtrack_uq.calibration.gaussian_prior import GaussianPrior
from torchtrack_uq.calibration.movie_prior import MoviePrior, movie_prior
from torchtrack_uq.calibration.objective import CalibrationWarning, TemperatureObjective
from torchtrack_uq.calibration.scored import ScoredMovie, score_folders, score_movie
from torchtrack_uq.calibration.temperature_fit import TemperatureFit, fit_temperature

__all__ = [
    "Calibration",
    "CalibrationWarning",
    "CrossValidation",
    "EventFit",
    "FitCertainty",
    "GaussianPrior",
    "MoviePrior",
    "ScoredMovie",
    "TemperatureFit",
    "TemperatureObjective",
    "bundled_calibration",
    "cross_validate",
    "describe_fit",
    "fingerprint",
    "fit_events",
    "fit_temperature",
    "movie_prior",
    "score_folders",
    "score_movie",
]
