"""Thin nn.Modules over `torchtrack_uq.functional` that take a `CandidateGraph` on any device."""

from torchtrack_uq.layers.parental_softmax import ParentalSoftmax
from torchtrack_uq.layers.temperature import TemperatureScaler

__all__ = ["ParentalSoftmax", "TemperatureScaler"]
