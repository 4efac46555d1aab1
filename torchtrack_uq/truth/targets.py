"""The truth to hold probabilities against: the annotated mother of each cell, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER


@dataclass(frozen=True, eq=False)
class LinkTargets(TensorFields):
    """True mothers of a movie's N cells, as far as they are known.

    Attributes:
        mother: (N,) int64, index of each cell's true mother, a cell of an earlier frame (the one before, unless links
            may skip frames); -1 for none (null). Means nothing where `known` is False.
        known: (N,) bool, the daughters that can be judged: annotated, and not in the first frame.
        mother_known: (N,) bool, the mothers whose daughters are all annotated, so that it is known whether they
            divided or disappeared.
        rejected: (R, 2) int64, links that are known to be wrong, each a mother and a daughter whose true mother need
            not be known; None for none.

    Raises:
        InputError: Shapes or dtypes that do not fit, or mothers out of range.

    >>> LinkTargets.from_mothers(torch.tensor([-1, 0, 0]), torch.tensor([0, 1, 1])).n_daughters
    tensor([2, 0, 0])
    """

    mother: Tensor
    known: Tensor
    mother_known: Tensor
    rejected: Tensor | None = None

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
        _check_rejected(self.rejected, n)

    @classmethod
    def from_mothers(
        cls, mother: Tensor, frame: Tensor, known: Tensor | None = None, *, max_gap: int = 1
    ) -> "LinkTargets":
        """Targets from the true mother of each cell.

        Args:
            mother: (N,) int64, -1 for none.
            frame: (N,) int64, frame of each cell.
            known: (N,) bool, which cells are annotated; all by default.
            max_gap: How many frames later a daughter may be.

        Raises:
            InputError: As `LinkTargets`, or a `max_gap` below 1.
        """
        if max_gap < 1:
            raise InputError(f"max_gap is {max_gap}; expected at least 1 frame")
        known = torch.ones_like(frame, dtype=torch.bool) if known is None else known.to(frame.device)
        after = frame.max() if len(frame) else torch.tensor(0)
        # A daughter that nobody annotated may be anyone's: which daughters the cells before have is then not known.
        whole = torch.ones(int(after) + 1 + max_gap, dtype=torch.bool, device=frame.device)
        whole[frame[~known]] = False
        fate = known & (frame < after)
        for gap in range(1, max_gap + 1):
            fate = fate & whole[frame + gap]
        return cls(mother, known & (frame > 0), fate)

    @property
    def n_daughters(self) -> Tensor:
        """(N,) int64, number of known true daughters of each cell."""
        linked = self.known & (self.mother >= 0)
        return torch.bincount(self.mother[linked], minlength=len(self.mother))

    @property
    def n_judged(self) -> int:
        """Number of daughters that can be judged."""
        return int(self.known.sum())

    @classmethod
    def batch(cls, movies: "Sequence[LinkTargets]") -> "LinkTargets":
        """Put the targets of movies one after the other, as `CandidateGraph.batch` does with their graphs.

        Args:
            movies: At least one, on one device.

        Raises:
            InputError: None.

        >>> targets = LinkTargets.from_mothers(torch.tensor([-1, 0]), torch.tensor([0, 1]))
        >>> LinkTargets.batch([targets, targets]).mother
        tensor([-1,  0, -1,  2])
        """
        if not movies:
            raise InputError("there are no targets to batch; expected those of at least one movie")
        mothers, rejected, before = [], [], 0
        for movie in movies:
            mothers.append(torch.where(movie.mother < 0, movie.mother, movie.mother + before))
            if movie.rejected is not None:
                rejected.append(movie.rejected + before)
            before += len(movie.mother)
        known = torch.cat([movie.known for movie in movies])
        fate = torch.cat([movie.mother_known for movie in movies])
        return cls(torch.cat(mothers), known, fate, torch.cat(rejected) if rejected else None)

    def unbatch(self, graph: CandidateGraph) -> "list[LinkTargets]":
        """The targets of each movie of a batch.

        Args:
            graph: The batch of their candidate links.

        Raises:
            InputError: It has another number of cells.
        """
        self._check_cells(graph)
        found, before = [], 0
        columns = (graph.split_cells(column) for column in (self.mother, self.known, self.mother_known))
        for mother, known, mother_known in zip(*columns, strict=True):
            own = torch.where(mother < 0, mother, mother - before)
            found.append(self.with_tensors(mother=own, known=known, mother_known=mother_known))
            if self.rejected is not None:
                daughter = self.rejected[:, 1]
                inside = self.rejected[(daughter >= before) & (daughter < before + len(mother))]
                found[-1] = replace(found[-1], rejected=inside - before)
            before += len(mother)
        return found

    def only(self, cells: Tensor) -> "LinkTargets":
        """The same targets with fewer daughters to judge.

        Args:
            cells: (N,) bool, the daughters to keep. Events of mothers become unknown unless every daughter of the
                movie is kept.
        """
        kept = self.known & cells.to(self.known.device)
        whole = bool((kept == self.known).all())
        rejected = (
            None if self.rejected is None else self.rejected[cells.to(kept.device)[self.rejected[:, 1]]]
        )
        return LinkTargets(
            self.mother, kept, self.mother_known if whole else torch.zeros_like(self.mother_known), rejected
        )

    def true_link(self, graph: CandidateGraph) -> Tensor:
        """(E,) bool, the candidate links that are true; False where the daughter is not known.

        Raises:
            InputError: The graph has another number of cells.
        """
        self._check_cells(graph)
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

    def rejected_links(self, graph: CandidateGraph) -> Tensor:
        """(E,) bool, the candidate links that are known to be wrong although their daughter's mother may not be known.

        These are the `rejected` ones, and all links of a mother in `mother_known` to daughters who are not known to be
        hers.

        Raises:
            InputError: The graph has another number of cells.
        """
        self._check_cells(graph)
        wrong = self.mother_known.to(graph.device)[graph.mother] & ~self.true_link(graph)
        if self.rejected is not None:
            mother, daughter = self.rejected.to(graph.device).unbind(1)
            n = graph.n_cells
            wrong = wrong | torch.isin(graph.daughter * n + graph.mother, daughter * n + mother)
        return wrong

    def _check_cells(self, graph: CandidateGraph) -> None:
        if graph.n_cells != len(self.mother):
            raise InputError(
                f"the graph has {graph.n_cells} cells, but there are targets for {len(self.mother)}"
            )


def _check_rejected(rejected: Tensor | None, n: int) -> None:
    if rejected is None:
        return
    if rejected.ndim != 2 or rejected.shape[1] != 2 or rejected.dtype != torch.int64:
        raise InputError(f"rejected is {tuple(rejected.shape)} of {rejected.dtype}; expected (R, 2) of int64")
    if len(rejected) and (int(rejected.min()) < 0 or int(rejected.max()) >= n):
        raise InputError(
            f"rejected links name cells {int(rejected.min())} to {int(rejected.max())}; expected 0 to {n - 1}"
        )
