"""Perturbed copies of a movie's measurements and masks."""

from torchtrack_uq.perturb.detections import NoiseSizes, Perturbation, draw_perturbation, perturb_detections
from torchtrack_uq.perturb.masks import Boundaries, PerturbedMasks

__all__ = [
    "Boundaries",
    "NoiseSizes",
    "Perturbation",
    "PerturbedMasks",
    "draw_perturbation",
    "perturb_detections",
]
