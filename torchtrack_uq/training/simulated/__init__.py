"""Training windows without end: cells of any kind of movie, by domain randomisation."""

from torchtrack_uq.training.simulated.scene import Scene
from torchtrack_uq.training.simulated.windows import SimulatedWindows

__all__ = ["Scene", "SimulatedWindows"]
