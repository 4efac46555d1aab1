"""Learnable corrections of a tracker's event scores."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import EVENT_SCORES

NAMES = (*EVENT_SCORES, "miss")


class EventOffsets(nn.Module):
    """Adds a constant to the scores of appearance, disappearance, division and a miss, in nats at temperature 1.

    Trackers rarely say what their events cost in the units of their link scores. Together with a temperature T
    (applied first) the scores become s / T, a / T + appear, d / T + disappear, v / T + divide; all three offsets
    can be fitted by the joint log-likelihood (`torchtrack_uq.calibration.event_fit`). They never make a second
    daughter likelier than a first where it was not: divisions stay at most at -(d / T + disappear), beyond which large
    frames cannot be solved. A link over g frames is one with g - 1 misses, of which each costs `miss`; where no link
    skips a frame it does nothing.

    Args:
        appear: Offset of every cell's score of having no mother.
        disappear: Offset of every cell's score of having no daughter.
        divide: Offset of every cell's score of having two daughters.
        miss: Offset of the score of a link for each frame that it skips.

    Raises:
        InputError: An offset is not a finite number.

    >>> EventOffsets(divide=-2.0)
    EventOffsets(appear=0, disappear=0, divide=-2)
    """

    def __init__(
        self, appear: float = 0.0, disappear: float = 0.0, divide: float = 0.0, miss: float = 0.0
    ) -> None:
        super().__init__()
        for name, value in zip(NAMES, (appear, disappear, divide, miss), strict=True):
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
        score = graph.score
        links = getattr(graph, "graph", graph)  # of draws of the scores, their graph's
        if getattr(links, "max_gap", 1) > 1:  # those of a chunk of a movie span one frame
            score = score + ((links.gap - 1) * (self.miss * unit).to(score))
        return graph.with_scores(score, appear, disappear, divide)

    @property
    def values(self) -> dict[str, float]:
        """The offsets as numbers; that of a miss only where there is one."""
        found = {name: float(getattr(self, name).detach()) for name in NAMES}
        if found["miss"] == 0:
            del found["miss"]
        return found

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:
        """States of versions without links over gaps have no offset of a miss: it is 0."""
        state.setdefault(f"{prefix}miss", torch.zeros_like(self.miss))
        super()._load_from_state_dict(state, prefix, *others)

    def extra_repr(self) -> str:
        """The offsets, for `print(module)`."""
        return ", ".join(f"{name}={value:.4g}" for name, value in self.values.items())
