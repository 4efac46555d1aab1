"""Candidate links of some consecutive frames, as a tracker that streams hands them out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections


@dataclass(frozen=True, eq=False)
class LinkChunk:
    """Scored links of the frame pairs (first, first + 1) to (last - 1, last) of a movie.

    Nothing is checked here, and links that are no candidates may stand among the others: to look at the
    numbers, or to count them, the CPU would have to wait for the device. `candidates_from_chunks` checks the whole
    movie.

    Attributes:
        first: Frame of the first mothers.
        last: Frame of the last daughters.
        mother: (E,) int64, index of each link's mother among all detections of the movie, in any order.
        daughter: (E,) int64, index of its daughter.
        score: (E,) float32 or float64.
        is_candidate: (E,) bool, which of the links are meant.
        appear: Score of having no mother of each cell in the frames first + 1 to last.
        disappear: Score of having no daughter of each cell in the frames first to last - 1.
        divide: Score of having two daughters of the same cells.
    """

    first: int
    last: int
    mother: Tensor
    daughter: Tensor
    score: Tensor
    is_candidate: Tensor
    appear: Tensor
    disappear: Tensor
    divide: Tensor

    def with_scores(self, score: Tensor, appear: Tensor, disappear: Tensor, divide: Tensor) -> "LinkChunk":
        """The same links with other scores, as `CandidateGraph.with_scores`: what tempers a graph tempers a chunk."""
        return replace(self, score=score, appear=appear, disappear=disappear, divide=divide)


def in_order(chunks: Iterable[LinkChunk], n_frames: int) -> Iterator[LinkChunk]:
    """Hand on chunks that follow each other from frame 0 to the last frame.

    Raises:
        InputError: Frame pairs are missing, come twice, or do not exist.
    """
    frame = 0
    for chunk in chunks:
        if chunk.first != frame or not frame < chunk.last < n_frames:
            raise InputError(
                f"a chunk of links goes from frame {chunk.first} to {chunk.last}; expected one from frame {frame} to "
                f"at most frame {n_frames - 1}: a tracker must stream all frame pairs in order"
            )
        yield chunk
        frame = chunk.last
    if frame < n_frames - 1:
        raise InputError(f"the tracker's stream of links ends at frame {frame}; expected {n_frames - 1}")


def candidates_from_chunks(
    detections: Detections, chunks: Iterable[LinkChunk], device: torch.device | None = None
) -> CandidateGraph:
    """Put the chunks of a whole movie together; gradients flow through their scores.

    Args:
        detections: The movie's cells.
        chunks: All frame pairs, in order.
        device: Where the graph of a movie without frame pairs is; the CPU if None.

    Raises:
        InputError: As `in_order` and `CandidateGraph`.

    >>> import numpy as np
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> one = torch.zeros(1)
    >>> chunk = LinkChunk(0, 1, one.long(), one.long() + 1, one - 0.5, one == 0, one - 3, one, one)
    >>> candidates_from_chunks(cells, [chunk])
    CandidateGraph(2 cells, 1 links, 2 frames, torch.float32 on cpu)
    """
    parts = list(in_order(chunks, detections.n_frames))
    if not parts:
        return CandidateGraph.from_links(detections, [], [], torch.zeros(0, device=device))
    meant = torch.cat([part.is_candidate for part in parts])
    score = torch.cat([part.score for part in parts])
    no_event = score.new_zeros(len(detections))
    before, after = (no_event[detections.in_frame(t)] for t in (0, detections.n_frames - 1))
    return CandidateGraph.from_links(
        detections,
        torch.cat([part.mother for part in parts])[meant],
        torch.cat([part.daughter for part in parts])[meant],
        score[meant],
        appear=torch.cat([before, *(part.appear for part in parts)]),
        disappear=torch.cat([*(part.disappear for part in parts), after]),
        divide=torch.cat([*(part.divide for part in parts), after]),
    )
