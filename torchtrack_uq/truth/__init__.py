"""The truth about a movie's links, and probabilities and decisions held against it."""

from torchtrack_uq.truth.decisions import JudgedDecisions, decision_probability, judge_decisions
from torchtrack_uq.truth.detection_truth import DetectionTruth, judge_detections
from torchtrack_uq.truth.feasible import FeasibleTruth
from torchtrack_uq.truth.judged import JudgedDaughters, JudgedEvents, judge, judge_events
from torchtrack_uq.truth.targets import LinkTargets

__all__ = [
    "DetectionTruth",
    "FeasibleTruth",
    "JudgedDaughters",
    "JudgedDecisions",
    "JudgedEvents",
    "LinkTargets",
    "decision_probability",
    "judge",
    "judge_decisions",
    "judge_detections",
    "judge_events",
]
