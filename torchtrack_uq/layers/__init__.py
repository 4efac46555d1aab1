"""Thin nn.Modules over `torchtrack_uq.functional` that take a `CandidateGraph` on any device."""

from torchtrack_uq.layers.assignment_posterior import AssignmentPosterior
from torchtrack_uq.layers.event_offsets import EventOffsets
from torchtrack_uq.layers.feature_perturbation import FeaturePerturbation
from torchtrack_uq.layers.frequency_posterior import FrequencyPosterior
from torchtrack_uq.layers.likelihood import LayerLoss, daughters_nll, joint_nll
from torchtrack_uq.layers.parental_softmax import ParentalSoftmax
from torchtrack_uq.layers.perturbed_scores import PerturbedScores
from torchtrack_uq.layers.temperature import TemperatureScaler
from torchtrack_uq.layers.uncertainty import UncertaintyLayer

__all__ = [
    "AssignmentPosterior",
    "EventOffsets",
    "FeaturePerturbation",
    "FrequencyPosterior",
    "LayerLoss",
    "ParentalSoftmax",
    "PerturbedScores",
    "TemperatureScaler",
    "UncertaintyLayer",
    "daughters_nll",
    "joint_nll",
]
