"""What was decided for each daughter, how probable it is, and whether it is right."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.targets import LinkTargets


def class_probabilities(probabilities: LinkProbabilities) -> tuple[Tensor, Tensor]:
    """(E,) float64 and (N,) float64: links and null, normalised again so that they resolve 1 - p down to 1e-15.

    In float32 everything above 1 - 6e-8 is 1; but the other classes are still there, and p / (p + others) in
    float64 tells how far from 1 it is. Rankings and thresholds need that, pictures do not.

    >>> from torchtrack_uq import CandidateGraph, Detections, ParentalSoftmax
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> p = ParentalSoftmax()(CandidateGraph.from_links(cells, [0], [1], [20.0]))
    >>> float(p.link), f"{1 - float(class_probabilities(p)[0]):.1e}"
    (1.0, '2.1e-09')
    """
    graph = probabilities.graph
    link = probabilities.log_link.detach().double().exp()
    null = probabilities.log_null.detach().double().exp()
    total = segment_sum(link, graph.daughter, graph.n_cells) + null
    return link / total[graph.daughter], null / total


def decision_probability(probabilities: LinkProbabilities, selected: NDArray[np.bool_] | Tensor) -> Tensor:
    """Probability of what was decided for each cell: its selected link, or "no mother" where none is selected.

    Args:
        probabilities: Of a movie, by any method.
        selected: (E,) bool, the links that were chosen, at most one a daughter: those of the MAP assignment.

    Returns:
        (N,) float64; means nothing in frame 0.

    Raises:
        InputError: Another number of links, or two links selected for one daughter.
    """
    return _probability_of(probabilities, *_chosen(probabilities, selected))


@dataclass(frozen=True, eq=False)
class JudgedDecisions:
    """D decisions about daughters whose true mother is known.

    Attributes:
        cell: (D,) int64, index of the daughter among the movie's cells.
        frame: (D,) int64, its frame.
        probability: (D,) float64, of what was decided.
        linked: (D,) bool, whether that is a link; if not, it is "no mother".
        correct: (D,) bool, whether the chosen mother, or none, is the truth.
    """

    cell: NDArray[np.int64]
    frame: NDArray[np.int64]
    probability: NDArray[np.float64]
    linked: NDArray[np.bool_]
    correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.cell)


def judge_decisions(
    probabilities: LinkProbabilities, selected: NDArray[np.bool_] | Tensor, targets: LinkTargets
) -> JudgedDecisions:
    """Hold the decisions that a user gets, the links of the MAP assignment, against the truth.

    Not the likeliest class of each daughter (`torchtrack_uq.truth.judged.judge`): the two differ where mothers are
    contested, and what is accepted without review are tracks.

    Args:
        probabilities: Of a movie, by any method.
        selected: (E,) bool, `torchtrack_uq.posterior.map_links` of its candidate links.
        targets: Its true mothers.

    Raises:
        InputError: The targets belong to another number of cells, or as `decision_probability`.

    >>> from torchtrack_uq import CandidateGraph, Detections, ParentalSoftmax
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> p = ParentalSoftmax()(CandidateGraph.from_links(cells, [0], [1], [0.0]))
    >>> decisions = judge_decisions(p, np.array([True]), LinkTargets.from_mothers(torch.tensor([-1, 0]), p.graph.frame))
    >>> decisions.probability, decisions.correct
    (array([0.5]), array([ True]))
    """
    graph = probabilities.graph
    true_link = targets.true_link(graph)
    targets = targets.to(graph.device)
    chosen, daughters = _chosen(probabilities, selected)
    right = (targets.mother < 0).index_put((daughters,), true_link[chosen])
    linked = torch.zeros_like(right).index_fill(0, daughters, True)
    known = targets.known.nonzero().squeeze(1)
    return JudgedDecisions(
        cell=known.cpu().numpy(),
        frame=graph.frame[known].cpu().numpy(),
        probability=_probability_of(probabilities, chosen, daughters)[known].cpu().numpy(),
        linked=linked[known].cpu().numpy(),
        correct=right[known].cpu().numpy(),
    )


def _probability_of(probabilities: LinkProbabilities, chosen: Tensor, daughters: Tensor) -> Tensor:
    link, null = class_probabilities(probabilities)
    return null.index_put((daughters,), link[chosen])


def _chosen(probabilities: LinkProbabilities, selected: NDArray[np.bool_] | Tensor) -> tuple[Tensor, Tensor]:
    graph = probabilities.graph
    chosen = torch.as_tensor(selected, device=graph.device)
    if chosen.shape != (graph.n_links,) or chosen.dtype != torch.bool:
        raise InputError(
            f"selected is {tuple(chosen.shape)} of {chosen.dtype}; expected ({graph.n_links},) of torch.bool, one "
            "for each candidate link"
        )
    daughters = graph.daughter[chosen]
    if len(daughters) and int(torch.bincount(daughters).max()) > 1:
        raise InputError("two links are selected for the same daughter; expected at most one")
    return chosen, daughters
