"""Learnable scores of appearing, disappearing and dividing."""

import math

import torch
from torch import Tensor, nn

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.errors import InputError


class EventScores(nn.Module):
    """Adds one score each for appearing, disappearing and dividing to those that a tracker gives.

    Trackers such as Trackastra say nothing about events (0 each), so that a mother without daughters, with one and
    with two are equally likely before links are looked at. These three numbers, in nats, correct that; learn them
    with the joint log-likelihood (`joint_nll`). A second daughter may never be likelier than a first, or most
    solvers refuse: divide <= -disappear by construction.

    Args:
        appear: Initial score a of a cell without mother.
        disappear: Initial score d of a cell without daughter.
        divide: Initial score v of a cell with two daughters; below -disappear.

    Attributes:
        appear: Parameter a.
        disappear: Parameter d.
        raw_gap: Parameter, log(-d - v).

    Raises:
        InputError: Scores that are not finite, or divide + disappear not below 0.

    >>> import numpy as np
    >>> from torchtrack_uq.detections import Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], [0.5])
    >>> EventScores(appear=-2.0)(graph).appear
    tensor([-2., -2.], grad_fn=<AddBackward0>)
    """

    def __init__(self, appear: float = 0.0, disappear: float = -0.1, divide: float = -0.1) -> None:
        super().__init__()
        if not all(math.isfinite(value) for value in (appear, disappear, divide)):
            raise InputError(f"event scores must be finite, got {appear}, {disappear} and {divide}")
        if not disappear + divide < 0:
            raise InputError(
                f"disappear + divide must be below 0, got {disappear} + {divide}: a second daughter would be likelier "
                "than a first"
            )
        self.appear = nn.Parameter(torch.tensor(appear))
        self.disappear = nn.Parameter(torch.tensor(disappear))
        self.raw_gap = nn.Parameter(torch.tensor(math.log(-disappear - divide)))

    @property
    def divide(self) -> Tensor:
        """V, a scalar tensor with gradient."""
        return -self.disappear - self.raw_gap.exp()

    def forward(self, graph: CandidateGraph) -> CandidateGraph:
        """The same graph with these scores added to its own; links keep theirs."""

        def like(value: Tensor) -> Tensor:
            return value.to(graph.score)

        return graph.with_scores(
            graph.score,
            graph.appear + like(self.appear),
            graph.disappear + like(self.disappear),
            graph.divide + like(self.divide),
        )

    def extra_repr(self) -> str:
        """The scores, for `print(module)`."""
        scores = {"appear": self.appear, "disappear": self.disappear, "divide": self.divide}
        return ", ".join(f"{name}={float(value.detach()):.4g}" for name, value in scores.items())
