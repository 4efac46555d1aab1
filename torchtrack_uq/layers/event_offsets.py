"""Learnable corrections of a tracker's event scores."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.method import Scored
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import EVENT_SCORES

OFFSETS = (*EVENT_SCORES, "miss")
"""What has an offset: the three events of a cell, and being missed in a frame that a link skips."""


class EventOffsets(nn.Module):
    """Adds a constant to the scores of appearance, disappearance, division and of being missed, in nats.

    Trackers rarely say what their events cost in the units of their link scores. Together with a temperature T
    (applied first) the scores become s / T, a / T + appear, d / T + disappear, v / T + divide, and a link over g frames
    gets (g - 1) miss more; all offsets can be fitted by the joint log-likelihood
    (`torchtrack_uq.calibration.event_fit`). They never make a second daughter likelier than a first where it was not:
    divisions stay at most at -(d / T + disappear), beyond which large frames cannot be solved.

    An offset of misses of 0 is left out of `values` and `state_dict`, which are then those of graphs without gaps.

    Args:
        appear: Offset of every cell's score of having no mother.
        disappear: Offset of every cell's score of having no daughter.
        divide: Offset of every cell's score of having two daughters.
        miss: Offset of every link for each frame that it skips.

    Raises:
        InputError: An offset is not a finite number.

    >>> EventOffsets(divide=-2.0)
    EventOffsets(appear=0, disappear=0, divide=-2)
    """

    needs_covariates: ClassVar[bool] = False
    """Whether it looks at `CandidateGraph.covariates`."""

    def __init__(
        self, appear: float = 0.0, disappear: float = 0.0, divide: float = 0.0, miss: float = 0.0
    ) -> None:
        super().__init__()
        for name, value in zip(OFFSETS, (appear, disappear, divide, miss), strict=True):
            if not math.isfinite(value):
                raise InputError(f"the offset of {name} must be a finite number, got {value}")
            setattr(self, name, nn.Parameter(torch.tensor(float(value), dtype=torch.float64)))

    def forward(self, graph: Scored, unit: Tensor | float = 1.0) -> Scored:
        """The graph with corrected event scores.

        Args:
            graph: Candidate links, or a chunk of them; scores divided by the temperature.
            unit: What the offsets are multiplied by: 1 after dividing by the temperature, T before.
        """
        offsets = self.cell_offsets(graph)
        appear, disappear, divide = (
            getattr(graph, name) + (offsets[name] * unit).to(graph.score) for name in EVENT_SCORES
        )
        solvable = graph.disappear + graph.divide <= 0
        divide = torch.where(solvable, torch.minimum(divide, -disappear), divide)
        score = graph.score
        links = getattr(graph, "graph", graph)  # of draws of the scores, their graph's
        if isinstance(links, CandidateGraph) and links.max_gap > 1:
            score = score + (links.gap - 1) * (self.get_parameter("miss") * unit).to(score)
        return graph.with_scores(score, appear, disappear, divide)

    def cell_offsets(self, graph: Scored) -> dict[str, Tensor]:
        """Offsets of the event scores by name, in nats at temperature 1: scalars here, (N,) where cells differ."""
        return {name: self.get_parameter(name) for name in EVENT_SCORES}

    @property
    def values(self) -> dict[str, float]:
        """The offsets as numbers, that of misses where it is not 0."""
        found = {name: float(self.get_parameter(name).detach()) for name in OFFSETS}
        return found if found["miss"] else {name: found[name] for name in EVENT_SCORES}

    def extra_repr(self) -> str:
        """The offsets, for `print(module)`."""
        return ", ".join(f"{name}={value:.4g}" for name, value in self.values.items())

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if "miss" not in self.values:
            del destination[prefix + "miss"]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(prefix + "miss", torch.zeros_like(self.get_parameter("miss")))
        super()._load_from_state_dict(state_dict, prefix, *args)
