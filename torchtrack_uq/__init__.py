"""Uncertainty for cell tracking: calibrated link probabilities and assignment posteriors on any tracker's scores."""

__version__ = "0.1.0"
