"""Scores of the same candidate links under R draws of noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import EVENT_SCORES, SCORES


@dataclass(frozen=True, eq=False)
class PerturbedScores(TensorFields):
    """A movie's candidate links with their scores under R draws of noise on the measurements.

    Attributes:
        graph: All links that the tracker offers with or without noise, with its scores without; links that
            it offers under noise only have score -inf there.
        score: (R, E) score of each link; -inf where the tracker does not offer it.
        appear: (R, N) score of a cell without mother.
        disappear: (R, N) score of a cell without daughter.
        divide: (R, N) score of a cell with two daughters.

    Raises:
        InputError: Shapes that do not fit, or no draw at all.
    """

    float_fields: ClassVar[tuple[str, ...]] = ("graph", *SCORES)

    graph: CandidateGraph
    score: Tensor
    appear: Tensor
    disappear: Tensor
    divide: Tensor

    def __post_init__(self) -> None:
        n_copies = len(self.score)
        if n_copies < 1 or tuple(self.score.shape) != (n_copies, self.graph.n_links):
            raise InputError(
                f"score has shape {tuple(self.score.shape)}; expected (R, {self.graph.n_links}) with R at least 1"
            )
        for name in EVENT_SCORES:
            shape = tuple(getattr(self, name).shape)
            if shape != (n_copies, self.graph.n_cells):
                raise InputError(f"{name} has shape {shape}; expected {(n_copies, self.graph.n_cells)}")

    @property
    def n_copies(self) -> int:
        """Number of draws R."""
        return len(self.score)

    @classmethod
    def batch(cls, movies: "Sequence[PerturbedScores]") -> "PerturbedScores":
        """Put movies of as many draws one after the other in time, see `CandidateGraph.batch`.

        Raises:
            InputError: No movie at all, or other numbers of draws.
        """
        copies = sorted({movie.n_copies for movie in movies})
        if len(copies) > 1:
            raise InputError(
                f"movies were scored under {copies} draws of noise; expected one number of draws"
            )
        graph = CandidateGraph.batch([movie.graph for movie in movies])
        rows = {name: torch.cat([getattr(movie, name) for movie in movies], 1) for name in SCORES}
        return cls(graph, **rows)

    def unbatch(self) -> "list[PerturbedScores]":
        """The scores of each movie of a batch."""
        graph = self.graph
        columns = {"score": graph.split_links(self.score.T)}
        columns |= {name: graph.split_cells(getattr(self, name).T) for name in EVENT_SCORES}
        parts = [dict(zip(columns, part, strict=True)) for part in zip(*columns.values(), strict=True)]
        return [
            self.with_tensors(graph=part, **{name: rows.T for name, rows in own.items()})
            for part, own in zip(graph.unbatch(), parts, strict=True)
        ]

    @classmethod
    def of(cls, own: CandidateGraph, copies: Sequence[CandidateGraph]) -> "PerturbedScores":
        """Align graphs of the same cells that may hold different links; differentiable in all scores.

        Args:
            own: The tracker's graph without noise.
            copies: Its graphs under noise, at least one.
        """
        n = own.n_cells
        keys = [graph.daughter * n + graph.mother for graph in (own, *copies)]
        key = torch.unique(torch.cat(keys))  # ascending, so sorted by daughter, then mother
        mother, daughter = key % max(n, 1), key // max(n, 1)

        def spread(graph: CandidateGraph, at: Tensor) -> Tensor:
            empty = graph.score.new_full((len(key),), -torch.inf)
            return empty.index_put((torch.searchsorted(key, at),), graph.score.to(own.dtype))

        rows = [spread(graph, at) for graph, at in zip((own, *copies), keys, strict=True)]
        union = CandidateGraph(
            mother, daughter, rows[0], own.appear, own.disappear, own.divide, own.frame, own.label,
            own.coords, own.n_frames, own.starts, own.max_gap, own.covariates,
        )  # fmt: skip
        events = {name: torch.stack([getattr(graph, name) for graph in copies]) for name in EVENT_SCORES}
        return cls(union, torch.stack(rows[1:]), **events)

    def mean_graph(self) -> CandidateGraph:
        """The graph with scores averaged over the draws (FP).

        A link that the tracker does not offer in some draws counts there with the lowest score that it has in
        any other draw, or with the draw's score of having no mother if that is lower: not offering it says
        that it is at best as likely. A link that it offers in none keeps its own score.
        """
        offered = self.score > -torch.inf
        lowest = torch.where(offered, self.score, torch.inf).amin(0)
        fill = torch.minimum(lowest, self.appear[:, self.graph.daughter])
        filled = torch.where(offered, self.score, fill)
        ever = offered.any(0)
        mean = _mean_of_rows(torch.where(ever, filled, torch.zeros_like(filled)))
        score = torch.where(ever, mean, self.graph.score)
        events = (_mean_of_rows(getattr(self, name)) for name in EVENT_SCORES)
        return self.graph.with_scores(score, *events)


def _mean_of_rows(rows: Tensor) -> Tensor:
    """Mean over draws, added up in their order; `Tensor.mean` takes another order for the last columns."""
    return reduce(torch.add, rows.unbind(0)) / len(rows)
