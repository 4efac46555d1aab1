"""Training windows without end: cells of any kind of movie, by domain randomisation."""

from torchtrack_uq.training.simulated.drawn_windows import SimulatedWindows
from torchtrack_uq.training.simulated.scene import Scene

__all__ = ["Scene", "SimulatedWindows"]
