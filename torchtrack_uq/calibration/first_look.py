"""What is seen of a movie that nobody annotated: how often its cells seem to come, go, divide and be missed."""

import torch
from torch import Tensor

from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph

LOOKS = ("null", "disappear", "divide", "missed", "entropy")
"""What `first_look` says, in its order."""
MOST_CELLS = 6000
"""Of longer movies, so many are looked at."""
_TYPICAL = (0.015, 0.03, 0.04, 0.02, 0.1)
_LEAST = 0.003
_SPREAD = 1.2  # of the logarithms, over the movies that priors were learned from


@torch.no_grad()
def first_look(graph: CandidateGraph, temperature: float, offsets: dict[str, float]) -> Tensor:
    """Mean probabilities of events, and mean entropy, at given event scores: numbers of about mean 0 and variance 1.

    Masks with errors give themselves away: cells seem to appear and disappear inside the field, and links over gaps are
    likely. How such numbers and the event scores that annotated movies ask for go together is learned from movies
    (`MoviePrior`); it is what makes a prior's mean fit a movie that nobody annotated.

    Of a long movie, three stretches of frames are looked at: its beginning, middle and end.

    Args:
        graph: A movie's candidate links as the tracker scores them.
        temperature: T to look with, always the same for a tracker.
        offsets: Offsets of the event scores to look with, likewise.

    Returns:
        (5,) float64 by `LOOKS`: log((share + 0.003) / typical) / 1.2 of daughters without mother, mothers without
        daughter, mothers with two, and links over gaps, and of the mean entropy of daughters in nats. Without gaps,
        the entry of links over them is the same for all movies.

    Raises:
        InputError: None.

    >>> import numpy as np
    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], [9.0])
    >>> first_look(graph, 1.0, {})[:2]
    tensor([-1.3076, -1.8852], dtype=torch.float64)
    """
    graph = _stretches(graph)
    layer = UncertaintyLayer("auto", temperature, events=EventOffsets(**offsets)).to(graph.device)
    found = layer(graph)
    daughters, mothers = graph.is_daughter, graph.is_mother
    over_gap = graph.gap > 1
    n = max(int(daughters.sum()), 1)
    values = torch.stack([
        found.null[daughters].double().sum() / n,
        found.disappear[mothers].double().sum() / max(int(mothers.sum()), 1),
        found.divide[mothers].double().sum() / max(int(mothers.sum()), 1),
        found.link[over_gap].double().sum() / n,
        found.entropy[daughters].double().sum() / n,
    ]).cpu()  # fmt: skip
    return torch.log((values + _LEAST) / torch.tensor(_TYPICAL, dtype=torch.float64)) / _SPREAD


def _stretches(graph: CandidateGraph) -> CandidateGraph:
    """Begin, middle and end as movies of one graph, a third of `MOST_CELLS` each; the graph itself if it is small."""
    if graph.n_cells <= MOST_CELLS or graph.n_movies > 1:
        return graph
    spans = looked_at(graph.cell_offsets, graph.max_gap)
    return CandidateGraph.batch([_frames(graph, begin, end) for begin, end in spans])


def looked_at(offsets: Tensor, max_gap: int) -> list[tuple[int, int]]:
    """First and last (excluded) frame of each stretch of a long movie that `first_look` looks at.

    Who holds these alone batches their graphs (`CandidateGraph.batch`), which `first_look` takes as they are.

    Args:
        offsets: (n_frames + 1,) int64, the first cell of each frame, and how many there are.
        max_gap: How many frames links may span.
    """
    n_frames, n_cells = len(offsets) - 1, int(offsets[-1])
    wanted, least = MOST_CELLS // 3, max_gap + 2
    found, begin = [], 0
    for centre in (0.0, 0.5, 1.0):
        cell = round(centre * (n_cells - wanted))
        begin = max(begin, int(torch.searchsorted(offsets, cell, right=True)) - 1)
        end = max(int(torch.searchsorted(offsets, cell + wanted)), begin + least)
        begin, end = max(min(begin, n_frames - least), 0), min(end, n_frames)
        found.append((begin, end))
        begin = end
    return found


def _frames(graph: CandidateGraph, begin: int, end: int) -> CandidateGraph:
    """Frames begin, ..., end - 1 as a movie of their own."""
    first, last = int(graph.cell_offsets[begin]), int(graph.cell_offsets[end])
    links = (graph.mother >= first) & (graph.daughter < last)
    cells = slice(first, last)
    return CandidateGraph(
        mother=graph.mother[links] - first,
        daughter=graph.daughter[links] - first,
        score=graph.score[links],
        appear=graph.appear[cells],
        disappear=graph.disappear[cells],
        divide=graph.divide[cells],
        frame=graph.frame[cells] - begin,
        label=graph.label[cells],
        coords=graph.coords[cells],
        n_frames=end - begin,
        max_gap=graph.max_gap,
    )
