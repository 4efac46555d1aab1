"""What a person decided, as candidate links: the rest of the posterior is then conditional on it."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER


def confirm(graph: CandidateGraph, daughter: Any, mother: Any) -> CandidateGraph:
    """Candidate links in which some cells have the mothers that a person gave them.

    All other options of these daughters get score -inf. The posterior of the new graph is the old one given that the
    person is right, p(A | decisions) = p(A) / p(decisions): exact, with no large number standing for certainty, and
    it reaches the neighbours, who lose or gain a place at the same mothers.

    Args:
        graph: Candidate links.
        daughter: (K,) integers, indices of the cells that were decided.
        mother: (K,) integers, index of each one's mother in one of the `graph.max_gap` frames before, -1 for none. A
            mother who is no candidate becomes one.

    Returns:
        The graph with other scores, and with the links that were missing.

    Raises:
        InputError: Indices out of range, a daughter that stands twice or is of frame 0, a mother who is not of a frame
            within reach, or three daughters for one mother.

    >>> import numpy as np
    >>> from torchtrack_uq import AssignmentPosterior, Detections
    >>> cells = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 1, 0, 1, 0, 1], [2, 2, 3, 3, 4, 4], np.zeros(6), appear=-9.0)
    >>> exact = AssignmentPosterior("exact")
    >>> exact(graph).link.tolist()[-2:]  # three daughters and two mothers, all alike
    [0.49..., 0.49...]
    >>> exact(confirm(graph, [2, 3], [0, 0])).link.tolist()[-2:]  # cell 0 has two daughters: the third is not hers
    [0.0, 0.99...]
    """
    daughters, mothers = _indices(graph, daughter, mother)
    _check_decisions(graph, daughters, mothers)
    decided = torch.full((graph.n_cells,), NO_MOTHER - 1, dtype=torch.int64, device=graph.device)
    decided[daughters] = mothers
    of_link = decided[graph.daughter]
    chosen = of_link == graph.mother
    # the score of an only option changes no probability, but it must not be -inf
    score = graph.score.masked_fill(chosen & (graph.score == -torch.inf), 0.0)
    score = score.masked_fill((of_link >= NO_MOTHER) & ~chosen, -torch.inf)
    appear = graph.appear.masked_fill((decided == NO_MOTHER) & (graph.appear == -torch.inf), 0.0)
    appear = appear.masked_fill(decided >= 0, -torch.inf)
    missing = decided >= 0
    missing[graph.daughter[chosen]] = False
    if not bool(missing.any()):
        return graph.with_scores(score, appear, graph.disappear, graph.divide)
    added = missing.nonzero().squeeze(1)
    mother_of, daughter_of = torch.cat([graph.mother, decided[added]]), torch.cat([graph.daughter, added])
    order = torch.argsort(daughter_of * graph.n_cells + mother_of)
    return replace(
        graph,
        mother=mother_of[order],
        daughter=daughter_of[order],
        score=torch.cat([score, score.new_zeros(len(added))])[order],
        appear=appear,
    )


def forbid(graph: CandidateGraph, daughter: Any, mother: Any) -> CandidateGraph:
    """Candidate links without those that a person rejected; where the daughter belongs stays open.

    Args:
        graph: Candidate links.
        daughter: (K,) integers, daughters of the rejected links.
        mother: (K,) integers, their mothers; -1 rejects "no mother".

    Returns:
        The graph with score -inf at what was rejected; a link that is no candidate is not one afterwards either.

    Raises:
        InputError: Indices out of range, or a daughter is left with no option at all.

    >>> import numpy as np
    >>> from torchtrack_uq import Detections, ParentalSoftmax
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 1], [2, 2], [5.0, 0.0])
    >>> ParentalSoftmax()(forbid(graph, [2], [0])).link
    tensor([0.0000, 0.5000])
    """
    daughters, mothers = _indices(graph, daughter, mother)
    n = graph.n_cells + 1  # mothers count from -1
    rejected = torch.isin(graph.daughter * n + graph.mother, daughters * n + mothers)
    no_null = torch.zeros(graph.n_cells, dtype=torch.bool, device=graph.device)
    no_null[daughters[mothers == NO_MOTHER]] = True
    score, appear = (
        graph.score.masked_fill(rejected, -torch.inf),
        graph.appear.masked_fill(no_null, -torch.inf),
    )
    possible = appear > -torch.inf
    possible[graph.daughter[score > -torch.inf]] = True
    for cell in daughters[~possible[daughters]].tolist():
        raise InputError(
            f"cell {cell} is left with no mother and may not be without: allow it one, or none, with `confirm`"
        )
    return graph.with_scores(score, appear, graph.disappear, graph.divide)


def _indices(graph: CandidateGraph, daughter: Any, mother: Any) -> tuple[Tensor, Tensor]:
    daughters, mothers = (torch.as_tensor(cells, device=graph.device) for cells in (daughter, mother))
    if daughters.shape != mothers.shape or daughters.ndim != 1:
        raise InputError(
            f"daughters are {tuple(daughters.shape)} and mothers {tuple(mothers.shape)}; expected two lists of one "
            "length"
        )
    for name, cells, lowest in (("daughters", daughters, 0), ("mothers", mothers, NO_MOTHER)):
        if len(cells) and (cells.is_floating_point() or cells.dtype == torch.bool):
            raise InputError(f"{name} are {cells.dtype}; expected indices of cells, whole numbers")
        if len(cells) and (int(cells.min()) < lowest or int(cells.max()) >= graph.n_cells):
            raise InputError(
                f"{name} run from {int(cells.min())} to {int(cells.max())}; expected {lowest} to {graph.n_cells - 1}"
            )
    return daughters.to(torch.int64), mothers.to(torch.int64)


def _check_decisions(graph: CandidateGraph, daughters: Tensor, mothers: Tensor) -> None:
    for cell in (torch.bincount(daughters) > 1).nonzero().squeeze(1).tolist():
        raise InputError(f"cell {cell} is decided twice; give each daughter one mother")
    linked = mothers >= 0
    frame, before = graph.frame[daughters], graph.frame[mothers.clamp(min=0)]
    first = ~graph.is_daughter[daughters]
    movie = graph.movie
    apart = (
        (before >= frame)
        | (before < frame - graph.max_gap)
        | (movie[daughters] != movie[mothers.clamp(min=0)])
    )
    for i in (first | (linked & apart)).nonzero().squeeze(1).tolist():
        where = f" and cell {int(mothers[i])} in frame {int(before[i])}" if bool(linked[i]) else ""
        reach = "the frame before" if graph.max_gap == 1 else f"the {graph.max_gap} frames before"
        raise InputError(
            f"cell {int(daughters[i])} is in frame {int(frame[i])}{where}; mothers are of {reach}"
        )
    for cell in (torch.bincount(mothers[linked]) > 2).nonzero().squeeze(1).tolist():
        raise InputError(f"cell {cell} is given more than two daughters; a mother has at most two")
