"""A tracker that streams what another one, or a graph, has to say."""

from collections.abc import Callable, Iterator

import torch

from torchtrack_uq import CandidateGraph, Detections
from torchtrack_uq.links.chunks import LinkChunk


class ChunkedTracker:
    """Hands out a graph in chunks, its links upside down and among others that are no candidates.

    Args:
        candidates: Makes the graph of a movie.
        pairs: Frame pairs in a chunk.
        before_chunk: Called with the number of each chunk, before it is handed out.
    """

    name = "chunked"

    def __init__(
        self,
        candidates: Callable[[Detections], CandidateGraph],
        pairs: int = 1,
        before_chunk: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._candidates, self._pairs, self._before_chunk = candidates, pairs, before_chunk

    def candidates(
        self, detections: Detections, movie: object = None, *, progress: bool = True
    ) -> CandidateGraph:
        return self._candidates(detections)

    def stream(
        self, detections: Detections, movie: object = None, *, progress: bool = True
    ) -> Iterator[LinkChunk]:
        graph = self._candidates(detections)
        for number, first in enumerate(range(0, graph.n_frames - 1, self._pairs)):
            self._before_chunk(number)
            yield cut(graph, first, min(first + self._pairs, graph.n_frames - 1))


def cut(graph: CandidateGraph, first: int, last: int) -> LinkChunk:
    """The frames `first` to `last` of a graph."""
    links = slice(int(graph.link_offsets[first + 1]), int(graph.link_offsets[last + 1]))
    first_mother, first_daughter, first_last, end = (
        int(graph.cell_offsets[t]) for t in (first, first + 1, last, last + 1)
    )

    def doubled(values: torch.Tensor) -> torch.Tensor:
        return values[links].flip(0).repeat(2)

    n_links = links.stop - links.start
    return LinkChunk(
        first,
        last,
        doubled(graph.mother),
        doubled(graph.daughter),
        doubled(graph.score),
        torch.arange(2 * n_links, device=graph.device) < n_links,
        graph.appear[first_daughter:end],
        graph.disappear[first_mother:first_last],
        graph.divide[first_mother:first_last],
    )
