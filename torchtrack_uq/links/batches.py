"""Several movies in one graph, one after the other in time: who comes first, and how to take them apart again."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.names import GRAPH_TENSORS


class ProblemRanges(NamedTuple):
    """A problem's part of a graph.

    Attributes:
        first: First frame of its mothers.
        last: Last frame of its daughters; `first` for a problem without cells.
        links: Its links.
        mothers: Its mothers, the cells of all its frames but the last.
        daughters: Its daughters, the cells of all its frames but the first.
    """

    first: int
    last: int
    links: slice
    mothers: slice
    daughters: slice


class MovieFrames(TensorFields):
    """What a graph of one or several movies knows of their frames.

    The frames of a batch are numbered through. The first frame of each movie is nobody's daughter and the last one
    nobody's mother, so that two movies share no link, no event and no assignment.

    What is summed over on its own is called a *problem*. With `max_gap` 1 these are the pairs of frames (p, p + 1), the
    one between two movies being that of two frames without cells; with links over gaps a movie is one problem.

    Attributes:
        frame: (N,) int64, frame of each cell, not decreasing.
        mother: (E,) int64, mother of each link.
        daughter: (E,) int64, daughter of each link, not decreasing.
        n_frames: Number of frames of all movies.
        starts: First frame of each movie, not decreasing, the first one 0.
        max_gap: How many frames a link may span: 1 for links between consecutive frames only.
    """

    frame: Tensor
    mother: Tensor
    daughter: Tensor
    n_frames: int
    starts: tuple[int, ...]
    max_gap: int

    @property
    def n_movies(self) -> int:
        """Number of movies."""
        return len(self.starts)

    @property
    def is_daughter(self) -> Tensor:
        """(N,) bool: cells that could have a mother, those that have a frame before in their movie."""
        return self.frame > 0 if self.n_movies == 1 else ~self._is_first[self.frame]

    @property
    def is_mother(self) -> Tensor:
        """(N,) bool: cells that could have a daughter, those that have a frame after in their movie."""
        return self.frame < self.n_frames - 1 if self.n_movies == 1 else ~self._is_first[self.frame + 1]

    @property
    def movie(self) -> Tensor:
        """(N,) int64, number of each cell's movie."""
        return torch.zeros_like(self.frame) if self.n_movies == 1 else self._movie_of_frame[self.frame]

    @property
    def gap(self) -> Tensor:
        """(E,) int64, how many frames each link spans; 1 for a link between consecutive frames."""
        return self.frame[self.daughter] - self.frame[self.mother]

    @property
    def n_problems(self) -> int:
        """Number of problems P that are summed over apart: pairs of frames, or movies if links may skip frames."""
        return max(self.n_frames - 1, 0) if self.max_gap == 1 else self.n_movies

    @property
    def problem_of_daughter(self) -> Tensor:
        """(N,) int64, problem in which each cell looks for a mother; means nothing for first frames, and may be -1."""
        return self.frame - 1 if self.max_gap == 1 else self.movie

    @property
    def problem_of_mother(self) -> Tensor:
        """(N,) int64, problem in which each cell looks for daughters; means nothing for last frames, and may be P."""
        return self.frame if self.max_gap == 1 else self.movie

    @property
    def problem_ranges(self) -> list[ProblemRanges]:
        """Where the links, mothers and daughters of each problem lie among those of the graph."""
        if self.max_gap > 1:
            frames = [(first, max(end - 1, first)) for first, end in self._spans]
        else:
            first_frames = set(self.starts)
            frames = [(p, p if p + 1 in first_frames else p + 1) for p in range(self.n_problems)]
        cells, links = self.cell_offsets.tolist(), self.link_offsets.tolist()
        return [
            ProblemRanges(
                first,
                last,
                slice(links[min(first + 1, self.n_frames)], links[min(last + 1, self.n_frames)]),
                slice(cells[first], cells[last]),
                slice(cells[min(first + 1, self.n_frames)], cells[min(last + 1, self.n_frames)]),
            )
            for first, last in frames
        ]

    @property
    def daughter_frames(self) -> list[int]:
        """Frames that have a frame before in their movie: 1 to n_frames - 1 without the first frames."""
        first = set(self.starts)
        return [t for t in range(1, self.n_frames) if t not in first]

    @cached_property
    def cell_offsets(self) -> Tensor:
        """(n_frames + 1,) int64 on the CPU: the cells of frame t are cell_offsets[t] to [t + 1] - 1."""
        return torch.searchsorted(self.frame, torch.arange(self.n_frames + 1, device=self.frame.device)).cpu()

    @cached_property
    def link_offsets(self) -> Tensor:
        """(n_frames + 1,) int64 on the CPU: links into frame t are link_offsets[t] to [t + 1] - 1."""
        return torch.searchsorted(self.daughter, self.cell_offsets.to(self.daughter.device)).cpu()

    def split_cells(self, values: Tensor) -> list[Tensor]:
        """(N, ...) numbers of cells, movie by movie; views."""
        return [values[int(self.cell_offsets[a]) : int(self.cell_offsets[b])] for a, b in self._spans]

    def split_links(self, values: Tensor) -> list[Tensor]:
        """(E, ...) numbers of links, movie by movie; views."""
        return [values[int(self.link_offsets[a]) : int(self.link_offsets[b])] for a, b in self._spans]

    def split_problems(self, values: Tensor) -> list[Tensor]:
        """(P, ...) numbers of problems, movie by movie; views."""
        if self.max_gap > 1:
            return list(torch.split(values, 1))
        return [values[a : max(b - 1, a)] for a, b in self._spans]

    @classmethod
    def batch(cls, graphs: Sequence[Self]) -> Self:
        """Put movies (or batches) one after the other in time; differentiable.

        Args:
            graphs: At least one, of one device, dtype and `max_gap`, with coordinates of one number of dimensions.

        Raises:
            InputError: No graph at all, or graphs of several devices, dtypes, gaps or dimensions.

        >>> from torchtrack_uq import CandidateGraph, Detections
        >>> import numpy as np
        >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        >>> graph = CandidateGraph.from_links(cells, [0], [1], [-0.5])
        >>> both = CandidateGraph.batch([graph, graph])
        >>> both.mother.tolist(), both.daughter.tolist(), both.frame.tolist(), both.starts
        ([0, 2], [1, 3], [0, 1, 2, 3], (0, 2))
        >>> [part.mother.tolist() for part in both.unbatch()]
        [[0], [0]]
        """
        if not graphs:
            raise InputError("there is no movie to batch; expected at least one")
        _check_alike(graphs)
        columns: dict[str, list[Tensor]] = {name: [] for name in GRAPH_TENSORS}
        starts: list[int] = []
        n_cells = n_frames = 0
        for graph in graphs:
            shift = {"mother": n_cells, "daughter": n_cells, "frame": n_frames}
            for name, column in columns.items():
                values = getattr(graph, name)
                column.append(values + shift[name] if name in shift else values)
            starts += [n_frames + start for start in graph.starts]
            n_cells += len(graph.frame)
            n_frames += graph.n_frames
        together: dict[str, Any] = {name: torch.cat(column) for name, column in columns.items()}
        covariates = [vars(graph)["covariates"] for graph in graphs]
        together["covariates"] = None if covariates[0] is None else torch.cat(covariates)
        together |= {"n_frames": n_frames, "starts": tuple(starts), "max_gap": graphs[0].max_gap}
        return cls(**together)

    def unbatch(self) -> list[Self]:
        """The movies of a batch, each with cells and frames that count from 0; differentiable, numbers as they are."""
        parts: dict[str, list[Tensor]] = {}
        for name in GRAPH_TENSORS:
            split = self.split_links if name in ("mother", "daughter", "score") else self.split_cells
            parts[name] = split(getattr(self, name))
        found = []
        for k, (first, end) in enumerate(self._spans):
            before = int(self.cell_offsets[first])
            shift = {"mother": before, "daughter": before, "frame": first}
            own: dict[str, Any] = {
                name: parts[name][k] - shift[name] if name in shift else parts[name][k] for name in parts
            }
            covariates = vars(self)["covariates"]
            own["covariates"] = None if covariates is None else self.split_cells(covariates)[k]
            part = self.with_tensors(**own, n_frames=end - first, starts=(0,))
            for name in self.host_caches:
                vars(part).pop(name, None)
            found.append(part)
        return found

    @property
    def _spans(self) -> list[tuple[int, int]]:
        """First frame of each movie, and the frame behind its last one."""
        return list(pairwise((*self.starts, self.n_frames)))

    @cached_property
    def _movie_of_frame(self) -> Tensor:
        """(n_frames,) int64."""
        lengths = torch.tensor([end - first for first, end in self._spans])
        movie = torch.repeat_interleave(torch.arange(self.n_movies), lengths)
        return movie.to(self.frame.device, non_blocking=True)

    @cached_property
    def _is_first(self) -> Tensor:
        """(n_frames + 1,) bool, first frames of movies; the frame behind the last one counts as one."""
        first = torch.zeros(self.n_frames + 1, dtype=torch.bool)
        first[[*self.starts, self.n_frames]] = True
        return first.to(self.frame.device, non_blocking=True)


def check_starts(graph: MovieFrames) -> None:
    """First frames fit the movie, and no link leads from one movie to the next.

    Raises:
        InputError: They do not, or one does.
    """
    starts, n_frames = graph.starts, graph.n_frames
    if not starts or starts[0] != 0 or list(starts) != sorted(starts) or starts[-1] > n_frames:
        raise InputError(
            f"movies start at frames {starts}; expected 0 and then frames up to {n_frames} in ascending order"
        )
    if len(starts) > 1:
        across = ~graph.is_daughter[graph.daughter]
        if bool(across.any()):
            k = int(across.nonzero()[0])
            raise InputError(
                f"link {k} leads to frame {int(graph.frame[graph.daughter[k]])}, the first one of a movie; expected "
                "no links between movies"
            )


def _check_alike(graphs: Sequence[MovieFrames]) -> None:
    for what in ("device", "dtype", "max_gap"):
        different = {str(getattr(graph, what)) for graph in graphs}
        if len(different) > 1:
            raise InputError(f"movies are of {what}s {', '.join(sorted(different))}; expected one {what}")
    if len({vars(graph)["covariates"] is None for graph in graphs}) > 1:
        raise InputError(
            "some movies have covariates of their cells and others have none; expected one or the other"
        )
    dimensions = {int(vars(graph)["coords"].shape[1]) for graph in graphs}
    if len(dimensions) > 1:
        raise InputError(f"movies have {sorted(dimensions)} dimensions; expected one number of dimensions")
