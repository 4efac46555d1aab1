"""Learnable corrections of a tracker's event scores."""

import math

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import EVENT_SCORES


class EventOffsets(nn.Module):
    """Adds a constant to the scores of appearance, disappearance and division, in nats at temperature 1.

    Trackers rarely say what their events cost in the units of their link scores. Together with a temperature T
    (applied first) the scores become s / T, a / T + appear, d / T + disappear, v / T + divide; all three offsets
    can be fitted by the joint log-likelihood (`torchtrack_uq.calibration.event_fit`). They never make a second
    daughter likelier than a first where it was not: divisions stay at most at -(d / T + disappear), beyond which large
    frames cannot be solved.

    Args:
        appear: Offset of every cell's score of having no mother.
        disappear: Offset of every cell's score of having no daughter.
        divide: Offset of every cell's score of having two daughters.

    Raises:
        InputError: An offset is not a finite number.

    >>> EventOffsets(divide=-2.0)
    EventOffsets(appear=0, disappear=0, divide=-2)
    """

    def __init__(self, appear: float = 0.0, disappear: float = 0.0, divide: float = 0.0) -> None:
        super().__init__()
        for name, value in zip(EVENT_SCORES, (appear, disappear, divide), strict=True):
            if not math.isfinite(value):
                raise InputError(f"the offset of {name} must be a finite number, got {value}")
            setattr(self, name, nn.Parameter(torch.tensor(float(value), dtype=torch.float64)))

    def forward(self, graph: CandidateGraph, unit: Tensor | float = 1.0) -> CandidateGraph:
        """The graph with corrected event scores.

        Args:
            graph: Candidate links; scores divided by the temperature.
            unit: What the offsets are multiplied by: 1 after dividing by the temperature, T before.
        """
        appear, disappear, divide = (
            getattr(graph, name) + (getattr(self, name) * unit).to(graph.score) for name in EVENT_SCORES
        )
        solvable = graph.disappear + graph.divide <= 0
        divide = torch.where(solvable, torch.minimum(divide, -disappear), divide)
        return graph.with_scores(graph.score, appear, disappear, divide)

    @property
    def values(self) -> dict[str, float]:
        """The three offsets as numbers."""
        return {name: float(getattr(self, name).detach()) for name in EVENT_SCORES}

    def extra_repr(self) -> str:
        """The offsets, for `print(module)`."""
        return ", ".join(f"{name}={value:.4g}" for name, value in self.values.items())
