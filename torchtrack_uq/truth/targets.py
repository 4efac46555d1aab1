"""The truth to hold probabilities against: the annotated mother of each cell, as tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER


@dataclass(frozen=True, eq=False)
class LinkTargets:
    """True mothers of a movie's N cells, as far as they are known.

    Attributes:
        mother: (N,) int64, index of each cell's true mother, a cell of the frame before; -1 for none (null). Means
            nothing where `known` is False.
        known: (N,) bool, the daughters that can be judged: annotated, and not in the first frame.
        mother_known: (N,) bool, the mothers whose daughters are all annotated, so that it is known whether they
            divided or disappeared.

    Raises:
        InputError: Shapes or dtypes that do not fit, or mothers out of range.

    >>> LinkTargets.from_mothers(torch.tensor([-1, 0, 0]), torch.tensor([0, 1, 1])).n_daughters
    tensor([2, 0, 0])
    """

    mother: Tensor
    known: Tensor
    mother_known: Tensor

    def __post_init__(self) -> None:
        n = len(self.mother)
        for name, dtype in (("mother", torch.int64), ("known", torch.bool), ("mother_known", torch.bool)):
            tensor = getattr(self, name)
            if tensor.shape != (n,) or tensor.dtype != dtype:
                raise InputError(
                    f"{name} is {tuple(tensor.shape)} of {tensor.dtype}; expected ({n},) of {dtype}"
                )
        judged = self.mother[self.known]
        if len(judged) and (int(judged.min()) < NO_MOTHER or int(judged.max()) >= n):
            raise InputError(
                f"true mothers run from {int(judged.min())} to {int(judged.max())}; expected -1 (none) to {n - 1}"
            )

    @classmethod
    def from_mothers(cls, mother: Tensor, frame: Tensor, known: Tensor | None = None) -> "LinkTargets":
        """Targets from the true mother of each cell.

        Args:
            mother: (N,) int64, -1 for none.
            frame: (N,) int64, frame of each cell.
            known: (N,) bool, which cells are annotated; all by default.
        """
        known = torch.ones_like(frame, dtype=torch.bool) if known is None else known.to(frame.device)
        after = frame.max() if len(frame) else torch.tensor(0)
        # A daughter that nobody annotated may be anyone's: her frame's mothers are then known only if annotated.
        whole = torch.ones(int(after) + 2, dtype=torch.bool, device=frame.device)
        whole[frame[~known]] = False
        return cls(mother, known & (frame > 0), known & (frame < after) & whole[frame + 1])

    @property
    def n_daughters(self) -> Tensor:
        """(N,) int64, number of known true daughters of each cell."""
        linked = self.known & (self.mother >= 0)
        return torch.bincount(self.mother[linked], minlength=len(self.mother))

    @property
    def n_judged(self) -> int:
        """Number of daughters that can be judged."""
        return int(self.known.sum())

    def to(self, device: torch.device | str) -> "LinkTargets":
        """The same targets on another device."""
        return LinkTargets(self.mother.to(device), self.known.to(device), self.mother_known.to(device))

    def only(self, cells: Tensor) -> "LinkTargets":
        """The same targets with fewer daughters to judge.

        Args:
            cells: (N,) bool, the daughters to keep. Events of mothers become unknown unless every daughter of the
                movie is kept.
        """
        kept = self.known & cells.to(self.known.device)
        whole = bool((kept == self.known).all())
        return LinkTargets(
            self.mother, kept, self.mother_known if whole else torch.zeros_like(self.mother_known)
        )

    def true_link(self, graph: CandidateGraph) -> Tensor:
        """(E,) bool, the candidate links that are true; False where the daughter is not known.

        Raises:
            InputError: The graph has another number of cells.
        """
        if graph.n_cells != len(self.mother):
            raise InputError(
                f"the graph has {graph.n_cells} cells, but there are targets for {len(self.mother)}"
            )
        daughter = graph.daughter
        return (self.mother.to(graph.device)[daughter] == graph.mother) & self.known.to(graph.device)[
            daughter
        ]

    def reachable(self, graph: CandidateGraph) -> Tensor:
        """(N,) bool, known daughters whose true mother is a candidate with a score above -inf, or who have none."""
        offered = self.true_link(graph) & (graph.score > -torch.inf)
        found = segment_sum(offered.to(torch.float32), graph.daughter, graph.n_cells) > 0
        null = (self.mother.to(graph.device) < 0) & (graph.appear > -torch.inf)
        return self.known.to(graph.device) & (found | null)
