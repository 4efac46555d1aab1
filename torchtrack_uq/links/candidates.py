"""Candidate links of a whole movie, as one ragged batch of tensors sorted by daughter."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.batches import MovieFrames, ProblemRanges, check_starts
from torchtrack_uq.links.checks import (
    as_positions,
    check_covariates,
    check_links,
    check_max_gap,
    check_scores,
    check_shapes,
)
from torchtrack_uq.links.names import GRAPH_TENSORS, SCORES
from torchtrack_uq.movies.detections import Detections

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class CandidateGraph(MovieFrames):
    """All candidate links of a movie with their scores; N cells, E links to a later frame.

    Scores are log-weights, higher is likelier: an assignment's log-weight is the sum of the scores of its
    links and of the events (appearance, disappearance, division) that it implies. All score tensors share
    one dtype (float32 or float64) and all tensors one device. Cells are sorted by frame, links by daughter
    and then mother.

    Links span up to `max_gap` frames. With 1, every pair of consecutive frames is an assignment problem of its own.
    With more, a cell that was missed in between does not cut a track: a movie is one problem, in which every cell has
    at most one mother in any of the frames before, and at most two daughters in later ones. Then the score of a link
    says also what it costs that the cell was missed meanwhile.

    Several movies make one graph with `batch`, and are themselves again with `unbatch`; all numbers are the same either
    way. A graph moves like a tensor: `to`, `cpu`, `detach`, `pin_memory`, `numpy` (see `TensorFields`).

    Attributes:
        mother: (E,) int64, index of each link's mother, a cell of one of the `max_gap` frames before its daughter's.
        daughter: (E,) int64, index of its daughter, not decreasing.
        score: (E,) score of each link; -inf forbids it.
        appear: (N,) score of a cell that has no mother (the null class). Means nothing in frame 0.
        disappear: (N,) score of a cell that has no daughter. Means nothing in the last frame.
        divide: (N,) score of a cell that has two daughters.
        frame: (N,) int64, frame of each cell.
        label: (N,) int64, its label in that frame's mask.
        coords: (N, D) float32, its centroid in pixels.
        n_frames: Number of frames, those without cells included.
        starts: First frame of each movie; (0,) for a graph of one movie.
        max_gap: How many frames a link may span, at least 1.
        covariates: (N, 3) float32 what event scores may depend on, by `COVARIATES`; None where nobody asked for them.

    Raises:
        InputError: Shapes, dtypes, devices or orders that do not fit, indices out of range, duplicate links,
            links that span too many frames or lead from one movie to the next, NaN or +inf scores.
    """

    float_fields: ClassVar[tuple[str, ...]] = SCORES
    host_caches: ClassVar[tuple[str, ...]] = ("cell_offsets", "link_offsets")

    mother: Tensor
    daughter: Tensor
    score: Tensor
    appear: Tensor
    disappear: Tensor
    divide: Tensor
    frame: Tensor
    label: Tensor
    coords: Tensor
    n_frames: int
    starts: tuple[int, ...] = (0,)
    max_gap: int = 1
    covariates: Tensor | None = None

    def __post_init__(self) -> None:
        tensors = {name: getattr(self, name) for name in GRAPH_TENSORS}
        check_max_gap(self.max_gap)
        check_shapes(tensors)
        check_links(self.frame, self.mother, self.daughter, self.n_frames, self.max_gap)
        check_starts(self)
        check_scores(tensors)
        check_covariates(self.covariates, self.score, self.n_cells)

    @classmethod
    def from_links(
        cls,
        detections: Detections,
        mother: Any,
        daughter: Any,
        score: Any,
        appear: Any = 0.0,
        disappear: Any = 0.0,
        divide: Any = 0.0,
        *,
        max_gap: int = 1,
    ) -> "CandidateGraph":
        """Build a graph from links in any order.

        Cells are named by their position among the detections, which are sorted by frame and label. These are the rows
        of the table that the detections were made of only where it was sorted; `detections.cell_of_row` translates.

        Args:
            detections: The movie's cells.
            mother: (E,) integers, position of each link's mother among all detections.
            daughter: (E,) integers, position of its daughter.
            score: (E,) floats (array or tensor). If it is a tensor, its dtype and device are the graph's, and
                gradients flow through it.
            appear: Score of a cell without mother: one number, or (N,) numbers.
            disappear: Score of a cell without daughter, likewise.
            divide: Score of a cell with two daughters, likewise.
            max_gap: How many frames a link may span; the graph is one assignment problem if that is more than 1.

        Raises:
            InputError: Positions that are no integers or name no cell, links over more frames or given twice, and
                whatever else a `CandidateGraph` cannot be.

        >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        >>> CandidateGraph.from_links(cells, [0], [1], [-0.5], appear=-3.0)
        CandidateGraph(2 cells, 1 links, 2 frames, torch.float32 on cpu)
        """
        scores = _as_tensor(score)
        if not scores.is_floating_point():
            scores = scores.to(torch.float32)
        device, n = scores.device, len(detections)
        mothers = as_positions("mother", _as_tensor(mother)).to(device)
        daughters = as_positions("daughter", _as_tensor(daughter)).to(device)
        if mothers.shape == daughters.shape == scores.shape and scores.ndim == 1:
            order = torch.argsort(daughters * n + mothers, stable=True)
            mothers, daughters, scores = mothers[order], daughters[order], scores[order]

        def event(value: Any) -> Tensor:
            # numbers keep their digits: torch would make them float32 first
            numbers = value if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)
            values = _as_tensor(numbers).to(device, scores.dtype)
            return values.expand(n).contiguous() if values.ndim == 0 else values

        return cls(
            mother=mothers,
            daughter=daughters,
            score=scores,
            appear=event(appear),
            disappear=event(disappear),
            divide=event(divide),
            frame=_as_tensor(detections.frame).to(device),
            label=_as_tensor(detections.label).to(device),
            coords=_as_tensor(detections.coords).to(device, torch.float32),
            n_frames=detections.n_frames,
            max_gap=max_gap,
        )

    def __repr__(self) -> str:
        movies = f"{self.n_movies} movies, " if self.n_movies > 1 else ""
        gaps = f"gaps to {self.max_gap}, " if self.max_gap > 1 else ""
        return (
            f"CandidateGraph({movies}{self.n_cells} cells, {self.n_links} links, {self.n_frames} frames, {gaps}"
            f"{self.dtype} on {self.device})"
        )

    @property
    def n_cells(self) -> int:
        """Number of cells N in the movie."""
        return len(self.frame)

    @property
    def n_links(self) -> int:
        """Number of candidate links E."""
        return len(self.mother)

    @property
    def device(self) -> torch.device:
        """Device of all tensors."""
        return self.score.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the scores."""
        return self.score.dtype

    def with_scores(
        self, score: Tensor, appear: Tensor, disappear: Tensor, divide: Tensor
    ) -> "CandidateGraph":
        """The same links and cells with other scores, of any floating dtype on the same device.

        Raises:
            InputError: Shapes or dtypes that do not fit, NaN or +inf. The links were checked when the graph was made.
        """
        scores = dict(zip(SCORES, (score, appear, disappear, divide), strict=True))
        check_shapes({name: scores.get(name, getattr(self, name)) for name in GRAPH_TENSORS})
        check_scores(scores)
        return self.with_tensors(**scores)

    def problem(self, t: int) -> AssignmentProblem:
        """The assignment problem in which the cells of frame t are daughters, on the CPU, indices counting from 0.

        That is the pair of frames (t - 1, t), or the movie of frame t if links may skip frames: then all cells but
        those of its last frame are mothers, all but those of its first frame daughters.

        Args:
            t: Frame of daughters, 1 to n_frames - 1, and not the first frame of a movie.
        """
        if not 1 <= t < self.n_frames:
            raise InputError(f"frame pairs end at frame 1 to {self.n_frames - 1}, got {t}")
        if t in self.starts:
            raise InputError(f"frame {t} is the first one of a movie; expected one with a frame before it")
        p = t - 1 if self.max_gap == 1 else bisect_right(self.starts, t) - 1
        return self._problem(self.problem_ranges[p])

    def problems(self) -> Iterator[AssignmentProblem]:
        """All assignment problems in order, of pairs of frames those of `daughter_frames`; copied to the CPU once."""
        graph = self.to("cpu")
        between = {start - 1 for start in self.starts} if self.max_gap == 1 else set()
        ranges = enumerate(graph.problem_ranges)
        return (graph._problem(its) for p, its in ranges if p not in between)

    def _problem(self, at: ProblemRanges) -> AssignmentProblem:
        def numbers(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
            return tensor.detach().cpu().numpy().astype(np.float64)

        return AssignmentProblem(
            mother=self.mother[at.links].cpu().numpy() - at.mothers.start,
            daughter=self.daughter[at.links].cpu().numpy() - at.daughters.start,
            score=numbers(self.score[at.links]),
            appear=numbers(self.appear[at.daughters]),
            disappear=numbers(self.disappear[at.mothers]),
            divide=numbers(self.divide[at.mothers]),
        )

    @classmethod
    def from_problem(cls, problem: AssignmentProblem) -> "CandidateGraph":
        """A movie of two frames from one assignment problem (float64, labels 1, 2, ..., positions 0)."""
        n_mothers, n_daughters = len(problem.disappear), len(problem.appear)
        cells = Detections.from_points(
            np.repeat([0, 1], [n_mothers, n_daughters]), np.zeros((n_mothers + n_daughters, 2)), n_frames=2
        )
        return cls.from_links(
            cells,
            problem.mother,
            problem.daughter + n_mothers,
            torch.tensor(problem.score),
            appear=np.concatenate([np.zeros(n_mothers), problem.appear]),
            disappear=np.concatenate([problem.disappear, np.zeros(n_daughters)]),
            divide=np.concatenate([problem.divide, np.zeros(n_daughters)]),
        )

    def to_networkx(self) -> "nx.DiGraph[int]":
        """All candidate links as a directed graph from mother to daughter.

        Nodes are cell indices with `frame`, `label`, `coords`, `appear`, `disappear` and `divide`; edges have
        `score`. `from_networkx` reads it back.
        """
        from torchtrack_uq.links.networkx_graph import to_networkx

        return to_networkx(self)

    @classmethod
    def from_networkx(cls, graph: "nx.DiGraph[Any]", dtype: torch.dtype = torch.float32) -> "CandidateGraph":
        """Read a graph of candidate links, edges from mother to daughter with a `score`.

        Nodes need `frame`, `label` and `coords`; `appear`, `disappear` and `divide` default to 0, and `max_gap` of the
        graph to 1.

        Raises:
            InputError: A node or an edge lacks an attribute.
        """
        from torchtrack_uq.links.networkx_graph import read_networkx

        cells, links, starts = read_networkx(graph, dtype)
        return replace(cls.from_links(cells, **links), starts=starts)


def _as_tensor(values: Any) -> Tensor:
    """A tensor as it is; an array as a copy, since torch does not take read-only ones; numbers as torch would."""
    if isinstance(values, Tensor):
        return values
    return torch.from_numpy(values.copy()) if isinstance(values, np.ndarray) else torch.as_tensor(values)
