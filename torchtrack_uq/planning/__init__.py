"""Trackability before the experiment: how often to image, at which density, for how many wrong links."""

from torchtrack_uq.planning.culture import Culture, MeasuredSteps, Walk
from torchtrack_uq.planning.outcome import Outcome, outcome_of, predict
from torchtrack_uq.planning.pilot import Pilot
from torchtrack_uq.planning.plan_table import Plan, make_plan

__all__ = [
    "Culture",
    "MeasuredSteps",
    "Outcome",
    "Pilot",
    "Plan",
    "Walk",
    "make_plan",
    "outcome_of",
    "predict",
]
