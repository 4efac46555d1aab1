"""A simulator of cells that grow, divide, move, die and are missed, merged, split and made up; the truth is exact."""

from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.in_memory import SimulatedFrame, simulate, stream
from torchtrack_uq.datasets.simulation.model_scores import model_scores
from torchtrack_uq.datasets.simulation.painting import found_mask, image, paint, true_mask
from torchtrack_uq.datasets.simulation.write_movie import write_simulated

__all__ = [
    "Conditions",
    "SimulatedFrame",
    "found_mask",
    "image",
    "model_scores",
    "paint",
    "simulate",
    "stream",
    "true_mask",
    "write_simulated",
]
