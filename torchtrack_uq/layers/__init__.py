"""Thin nn.Modules over `torchtrack_uq.functional` that take a `CandidateGraph` on any device."""

from torchtrack_uq.layers.assignment_posterior import AssignmentPosterior
from torchtrack_uq.layers.parental_softmax import ParentalSoftmax
from torchtrack_uq.layers.temperature import TemperatureScaler

__all__ = ["AssignmentPosterior", "ParentalSoftmax", "TemperatureScaler"]
