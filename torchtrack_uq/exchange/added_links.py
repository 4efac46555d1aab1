"""Links that a scorer offers no candidate for, as candidates of probability 0."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities

Ints = NDArray[np.int64]


def find_links(graph: CandidateGraph, mother: Ints, daughter: Ints) -> Ints:
    """(L,) which candidate each pair of cells is, -1 for none.

    Args:
        graph: E candidate links.
        mother: (L,) cells.
        daughter: (L,) cells.
    """
    known = graph.daughter.cpu().numpy() * graph.n_cells + graph.mother.cpu().numpy()
    wanted = daughter * graph.n_cells + mother
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1).astype(np.int64)


def with_impossible(graph: CandidateGraph, mother: Ints, daughter: Ints) -> tuple[CandidateGraph, Tensor]:
    """The graph with links of score -inf added, and where each link of the new graph comes from (-1: added).

    A link of score -inf is in no assignment of any weight, so that all other probabilities are as they were.

    Args:
        graph: E candidate links, on the CPU.
        mother: (A,) cells of earlier frames.
        daughter: (A,) cells, so that no pair is a candidate already.

    Raises:
        InputError: A pair that spans more frames than links may, where these are of consecutive frames only.

    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [1], [2], [0.5])
    >>> with_impossible(graph, np.array([0]), np.array([2]))[0].score
    tensor([  -inf, 0.5000])
    """
    mothers = torch.cat([graph.mother, torch.from_numpy(mother.astype(np.int64))])
    daughters = torch.cat([graph.daughter, torch.from_numpy(daughter.astype(np.int64))])
    order = torch.argsort(daughters * graph.n_cells + mothers)
    origin = torch.cat([torch.arange(graph.n_links), torch.full((len(mother),), -1)])[order]
    score = torch.cat([graph.score, graph.score.new_full((len(mother),), -torch.inf)])[order]
    longest = int((graph.frame[daughters] - graph.frame[mothers]).max()) if len(mothers) else 1
    return (
        replace(
            graph,
            mother=mothers[order],
            daughter=daughters[order],
            score=score,
            max_gap=graph.max_gap if graph.max_gap == 1 else max(graph.max_gap, longest),
        ),
        origin,
    )


def probabilities_with_impossible(
    probabilities: LinkProbabilities, mother: Ints, daughter: Ints
) -> LinkProbabilities:
    """Probabilities of the graph of `with_impossible`: 0 for what was added, the same for everything else."""
    graph, origin = with_impossible(probabilities.graph, mother, daughter)
    log_link = probabilities.log_link.new_full((graph.n_links,), -torch.inf)
    log_link[origin >= 0] = probabilities.log_link[origin[origin >= 0]]
    return probabilities.with_tensors(graph=graph, log_link=log_link)
