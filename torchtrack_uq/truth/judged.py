"""Probabilities held against the truth: what every calibration metric and every temperature fit starts from."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.functional.segments import segment_max
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True, eq=False)
class JudgedDaughters(TensorFields):
    """D daughters whose true mother is known, each with a distribution over her candidate mothers and null.

    Attributes:
        cell: (D,) int64, index of each among the movie's cells.
        frame: (D,) int64, its frame.
        has_mother: (D,) bool, whether it truly has a mother.
        reachable: (D,) bool, whether the truth is one of its classes: false if the true mother is no candidate.
        true_log_p: (D,) float64, log-probability of the truth, with gradient; -inf where it is no class.
        confidence: (D,) float64, probability of the likeliest class.
        correct: (D,) bool, whether the likeliest class is the truth. Of equals, the candidate listed first counts,
            and any candidate before null.
        entropy: (D,) float64, nats.
        brier: (D,) float64, sum over classes of (p - y)^2, y being 1 for the truth and else 0 (0 to 2).
        after_gap: (D,) bool, whether the true mother stands more than one frame before: the cell was missed meanwhile.
    """

    cell: Tensor
    frame: Tensor
    has_mother: Tensor
    reachable: Tensor
    true_log_p: Tensor
    confidence: Tensor
    correct: Tensor
    entropy: Tensor
    brier: Tensor
    after_gap: Tensor

    def __len__(self) -> int:
        return len(self.cell)

    def where(self, chosen: Tensor) -> "JudgedDaughters":
        """Some of the daughters, by a mask or by indices."""
        return JudgedDaughters(**{item.name: getattr(self, item.name)[chosen] for item in fields(self)})

    @classmethod
    def concatenate(cls, parts: "list[JudgedDaughters]") -> "JudgedDaughters":
        """Daughters of several movies behind each other; `cell` and `frame` still count within their movie.

        Raises:
            InputError: No part at all.
        """
        if not parts:
            raise InputError("there is nothing to concatenate")
        return cls(
            **{item.name: torch.cat([getattr(part, item.name) for part in parts]) for item in fields(cls)}
        )


def judge(probabilities: LinkProbabilities, targets: LinkTargets) -> JudgedDaughters:
    """Hold each known daughter's distribution against her true mother.

    Args:
        probabilities: Of a movie, by any method.
        targets: Its true mothers.

    Returns:
        One entry a known daughter, in the order of cells, on the device of the probabilities.

    Raises:
        InputError: The targets belong to another number of cells.

    >>> from torchtrack_uq import Detections, CandidateGraph, ParentalSoftmax
    >>> import numpy as np
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 1], [2, 2], torch.tensor([2.0, 1.0]).log())
    >>> judged = judge(ParentalSoftmax()(graph), LinkTargets.from_mothers(torch.tensor([-1, -1, 1]), graph.frame))
    >>> judged.confidence, judged.correct, judged.true_log_p.exp()  # 1/2, 1/4 and, for null, 1/4
    (tensor([0.5000], dtype=torch.float64), tensor([False]), tensor([0.2500], dtype=torch.float64))
    """
    graph = probabilities.graph
    n, daughter = graph.n_cells, graph.daughter
    true_link = targets.true_link(graph)
    targets = targets.to(graph.device)
    log_link, log_null = probabilities.log_link.double(), probabilities.log_null.double()
    link, null = log_link.exp(), log_null.exp()
    best = segment_max(link.detach(), daughter, n)
    top = first_of_segment(link.detach() >= best[daughter], daughter, n)
    null_wins = null.detach() > best
    truly_null = targets.mother < 0
    right_link = torch.zeros(n, dtype=torch.bool, device=graph.device)
    right_link[daughter[top & true_link]] = True
    of_truth = at_truth(log_link, log_null, graph, targets, missing=-torch.inf)
    squares = segment_sum(link**2, daughter, n) + null**2
    brier = squares - 2 * of_truth.exp() + 1
    known = targets.known.nonzero().squeeze(1)
    return JudgedDaughters(
        cell=known,
        frame=graph.frame[known],
        has_mother=~truly_null[known],
        reachable=targets.reachable(graph)[known],
        true_log_p=of_truth[known],
        confidence=torch.maximum(best, null.detach())[known],
        correct=torch.where(null_wins, truly_null, right_link)[known],
        entropy=probabilities.entropy.double()[known],
        brier=brier[known],
        after_gap=_after_gap(graph, targets)[known],
    )


def _after_gap(graph: CandidateGraph, targets: LinkTargets) -> Tensor:
    """(N,) bool, known daughters whose true mother stands more than one frame before."""
    linked = targets.known & (targets.mother >= 0)
    since = graph.frame - graph.frame[targets.mother.clamp(min=0)]
    return linked & (since > 1)


def true_log_p(probabilities: LinkProbabilities, targets: LinkTargets) -> Tensor:
    """`judge(probabilities, targets).true_log_p` without the rest: (D,) float64, with gradient."""
    log_link, log_null = probabilities.log_link.double(), probabilities.log_null.double()
    of_truth = at_truth(log_link, log_null, probabilities.graph, targets, missing=-torch.inf)
    return of_truth[targets.known.to(of_truth.device)]


def at_truth(
    link: Tensor, null: Tensor, graph: CandidateGraph, targets: LinkTargets, *, missing: float
) -> Tensor:
    """What stands at each cell's true class.

    Args:
        link: (E,) float, a number for each candidate link.
        null: (N,) float, a number for "no mother".
        graph: The candidate links.
        targets: The truth.
        missing: What daughters get whose true mother is no candidate.

    Returns:
        (N,) float with gradient; means nothing where the truth is not known.

    Raises:
        InputError: The targets belong to another number of cells.
    """
    true_link = targets.true_link(graph)
    truly_null = targets.mother.to(graph.device) < 0
    of_truth = torch.where(truly_null, null, torch.full_like(null, missing))
    return of_truth.index_put((graph.daughter[true_link],), link[true_link])


def first_of_segment(chosen: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """(E,) bool, the first chosen entry of each segment.

    >>> first_of_segment(torch.tensor([False, True, True]), torch.tensor([0, 0, 0]), 1)
    tensor([False,  True, False])
    """
    at = chosen.nonzero().squeeze(1)
    first = torch.full((n_segments,), len(chosen), dtype=torch.int64, device=chosen.device)
    first = first.scatter_reduce(0, segment[at], at, "amin")
    found = torch.zeros_like(chosen)
    found[first[first < len(chosen)]] = True
    return found


@dataclass(frozen=True, eq=False)
class JudgedEvents(TensorFields):
    """Yes/no events of one kind: probabilities and whether they happened.

    Attributes:
        probability: (K,) float64.
        happened: (K,) bool.
        frame: (K,) int64, frame of the cell or of the link's daughter.
    """

    probability: Tensor
    happened: Tensor
    frame: Tensor


def judge_events(probabilities: LinkProbabilities, targets: LinkTargets) -> dict[str, JudgedEvents]:
    """Hold links, nulls, divisions and disappearances against the truth, each as yes/no events of its own.

    A mother with more than two true daughters (possible where frames were skipped) counts as dividing.

    Returns:
        "link": every candidate link of the known daughters; "null": every known daughter; "division" and
        "disappearance": every mother whose daughters are all annotated. Where links may skip frames also "missed":
        every known daughter, for whom it happened if her true mother stands more than one frame before.
    """
    graph = probabilities.graph
    true_link = targets.true_link(graph)
    targets = targets.to(graph.device)
    judged, mothers = targets.known, targets.mother_known
    links = judged[graph.daughter]
    count = targets.n_daughters
    link_frame = graph.frame[graph.daughter]

    def events(p: Tensor, happened: Tensor, frame: Tensor, where: Tensor) -> JudgedEvents:
        return JudgedEvents(p.detach().double()[where], happened[where], frame[where])

    found = {
        "link": events(probabilities.link, true_link, link_frame, links),
        "null": events(probabilities.null, targets.mother < 0, graph.frame, judged),
        "division": events(probabilities.divide, count >= 2, graph.frame, mothers),
        "disappearance": events(probabilities.disappear, count == 0, graph.frame, mothers),
    }
    if graph.max_gap > 1:
        found["missed"] = events(probabilities.missed, _after_gap(graph, targets), graph.frame, judged)
    return found
