"""Movies ready for calibration: a tracker's scores, the truth, and what need not be solved twice."""

from dataclasses import dataclass

import torch

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.errors import InputError
from torchtrack_uq.judged import JudgedDaughters, judge
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.layers.uncertainty import Scores, Solved, graph_of
from torchtrack_uq.targets import LinkTargets


@dataclass(frozen=True, eq=False)
class ScoredMovie:
    """One annotated movie, scored.

    Attributes:
        name: What to call it.
        scores: A tracker's candidate links, under noise for FP and FP+A (`UncertaintyLayer.scores`).
        targets: The true mothers.
        solved: What `UncertaintyLayer.solve` found, or None.

    Raises:
        InputError: Scores and targets belong to different numbers of cells.
    """

    name: str
    scores: Scores
    targets: LinkTargets
    solved: Solved | None = None

    def __post_init__(self) -> None:
        if self.graph.n_cells != len(self.targets.mother):
            raise InputError(
                f"{self.name}: scores are of {self.graph.n_cells} cells, targets of {len(self.targets.mother)}"
            )

    @property
    def graph(self) -> CandidateGraph:
        """The candidate links without noise."""
        return graph_of(self.scores)

    def solve(self, layer: UncertaintyLayer) -> "ScoredMovie":
        """The same movie with what the layer's method can find once for all temperatures."""
        return ScoredMovie(self.name, self.scores, self.targets, layer.solve(self.scores))

    def only(self, cells: torch.Tensor) -> "ScoredMovie":
        """The same movie with fewer daughters to judge, by a (N,) mask."""
        return ScoredMovie(self.name, self.scores, self.targets.only(cells), self.solved)

    def judge(self, layer: UncertaintyLayer) -> JudgedDaughters:
        """The layer's probabilities held against the truth; differentiable."""
        return judge(layer(self.scores, self.solved), self.targets)
