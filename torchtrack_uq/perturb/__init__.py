"""Perturbed copies of a movie's measurements and masks."""

from torchtrack_uq.perturb.copies import PerturbedCopies
from torchtrack_uq.perturb.frame_copies import FrameCopies
from torchtrack_uq.perturb.masks import Boundaries, PerturbedMasks
from torchtrack_uq.perturb.noise import NoiseSizes, Perturbation, draw_perturbation, perturb_detections

__all__ = [
    "Boundaries",
    "FrameCopies",
    "NoiseSizes",
    "Perturbation",
    "PerturbedCopies",
    "PerturbedMasks",
    "draw_perturbation",
    "perturb_detections",
]
