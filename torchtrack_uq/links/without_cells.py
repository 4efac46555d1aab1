"""Candidate links of the cells that are left when a person has struck out some detections."""

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph


def without_cells(graph: CandidateGraph, dropped: Tensor) -> tuple[CandidateGraph, Tensor]:
    """The graph without some cells and their links; differentiable.

    The posterior of what is left is that of the graph, given that these cells have neither mother nor daughter.

    Args:
        graph: Candidate links of one movie.
        dropped: (N,) bool, cells that go.

    Returns:
        The graph of the N' cells that stay, in their order, and (E,) bool, which links stayed.

    Raises:
        InputError: Not one bool a cell, or a graph of several movies.

    >>> import numpy as np
    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 1], [2, 2], [5.0, 1.0])
    >>> left, kept = without_cells(graph, torch.tensor([True, False, False]))
    >>> left.mother, left.daughter, left.score
    (tensor([0]), tensor([1]), tensor([1.]))
    """
    if dropped.shape != (graph.n_cells,) or dropped.dtype != torch.bool:
        raise InputError(
            f"dropped is {tuple(dropped.shape)} of {dropped.dtype}; expected ({graph.n_cells},) of torch.bool"
        )
    if graph.n_movies > 1:
        raise InputError(f"the graph is of {graph.n_movies} movies; strike out cells of one before batching")
    stays = ~dropped.to(graph.device)
    new = torch.cumsum(stays, 0) - 1
    kept = stays[graph.mother] & stays[graph.daughter]
    of_cells = {
        name: getattr(graph, name)[stays]
        for name in ("appear", "disappear", "divide", "frame", "label", "coords")
    }
    covariates = None if graph.covariates is None else graph.covariates[stays]
    left = CandidateGraph(
        mother=new[graph.mother[kept]],
        daughter=new[graph.daughter[kept]],
        score=graph.score[kept],
        n_frames=graph.n_frames,
        max_gap=graph.max_gap,
        covariates=covariates,
        **of_cells,
    )
    return left, kept
