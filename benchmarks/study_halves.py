"""A scored movie cut in time: temperatures are fitted on the first half and judged on the second."""

from dataclasses import replace

import torch
from torch import Tensor

from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.layers import PerturbedScores
from torchtrack_uq.layers.uncertainty import Scores
from torchtrack_uq.targets import LinkTargets


def halves(scores: Scores, targets: LinkTargets, name: str) -> tuple[ScoredMovie, ScoredMovie]:
    """First and second half of the frame pairs, as movies of their own that share the frame in the middle."""
    n_frames = _graph(scores).n_frames
    middle = (n_frames - 1) // 2
    return (
        cut(scores, targets, name, 0, middle + 1),
        cut(scores, targets, name, middle, n_frames),
    )


def cut(scores: Scores, targets: LinkTargets, name: str, start: int, stop: int) -> ScoredMovie:
    """The frames start, ..., stop - 1 of a scored movie.

    The tracker has seen the whole movie; only what is judged, and what assignments are made of, is cut.
    """
    graph = _graph(scores)
    cells = slice(int(graph.cell_offsets[start]), int(graph.cell_offsets[stop]))
    links = slice(int(graph.link_offsets[start + 1]), int(graph.link_offsets[stop]))
    part = _cut_graph(graph, cells, links, start, stop)
    kept: Scores = part
    if isinstance(scores, PerturbedScores):
        kept = PerturbedScores(
            part,
            scores.score[:, links],
            scores.appear[:, cells],
            scores.disappear[:, cells],
            scores.divide[:, cells],
        )
    return ScoredMovie(name, kept, _cut_targets(targets, part, cells))


def _cut_graph(graph: CandidateGraph, cells: slice, links: slice, start: int, stop: int) -> CandidateGraph:
    of_cells = {
        name: getattr(graph, name)[cells] for name in ("appear", "disappear", "divide", "label", "coords")
    }
    return replace(
        graph,
        mother=graph.mother[links] - cells.start,
        daughter=graph.daughter[links] - cells.start,
        score=graph.score[links],
        frame=graph.frame[cells] - start,
        n_frames=stop - start,
        **of_cells,
    )


def _cut_targets(targets: LinkTargets, part: CandidateGraph, cells: slice) -> LinkTargets:
    is_daughter = part.frame > 0
    mother = targets.mother[cells]
    mother = torch.where(is_daughter & (mother >= 0), mother - cells.start, torch.full_like(mother, -1))
    return LinkTargets(
        mother,
        targets.known[cells] & is_daughter,
        targets.mother_known[cells] & (part.frame < part.n_frames - 1),
    )


def _graph(scores: Scores) -> CandidateGraph:
    return scores.graph if isinstance(scores, PerturbedScores) else scores


def per_frame_mean(values: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Sums and counts by frame, both (F,) float64, of the frames that occur."""
    _, index = torch.unique(frame, return_inverse=True)
    n = int(index.max()) + 1
    total = torch.zeros(n, dtype=torch.float64).index_add(0, index, values.double())
    return total, torch.bincount(index, minlength=n).double()
