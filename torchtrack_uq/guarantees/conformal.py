"""Split conformal prediction on ragged classes: a daughter's candidate mothers and null."""

import math

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.decisions import class_probabilities
from torchtrack_uq.truth.judged import at_truth
from torchtrack_uq.truth.targets import LinkTargets

SCORES = ("LAC", "APS")
"""Names of the nonconformity scores."""


def class_scores(
    probabilities: LinkProbabilities, score: str = "LAC", seed: int | tuple[int, ...] = 0
) -> tuple[Tensor, Tensor]:
    """Nonconformity of every class of every cell: how strange it would be if this were the truth.

    "LAC": 1 - p. Smallest sets on average; says nothing (an empty set) about daughters without a likely class.
    "APS": the probability of all likelier classes plus a uniform random share of its own, so that doubtful daughters
    get larger sets; of equals, the one listed first counts as likelier, and any candidate before null.

    Args:
        probabilities: Of a movie, by any method.
        score: "LAC" or "APS".
        seed: Of the random shares, one for each cell, drawn on the CPU.

    Returns:
        (E,) float64 for the candidate links, (N,) float64 for null; in [0, 1].

    Raises:
        InputError: An unknown score.

    References:
        LAC: Sadinle, Lei, Wasserman, "Least ambiguous set-valued classifiers" (2019). APS: Romano, Sesia, Candes,
        "Classification with valid and adaptive coverage" (2020), eq. 5.

    >>> import numpy as np
    >>> from torchtrack_uq import Detections, ParentalSoftmax
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 1], [2, 2], torch.tensor([2.0, 1.0]).log())
    >>> class_scores(ParentalSoftmax()(graph))[0]
    tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    link, null = class_probabilities(probabilities)
    if score == "LAC":
        return 1 - link, 1 - null
    if score != "APS":
        raise InputError(f"score {score!r} is unknown; expected one of {', '.join(SCORES)}")
    graph = probabilities.graph
    n, n_links = graph.n_cells, graph.n_links
    p = torch.cat([link, null])
    cell = torch.cat([graph.daughter, torch.arange(n, device=graph.device)])
    order = torch.argsort(p, descending=True, stable=True)
    order = order[torch.argsort(cell[order], stable=True)]
    before = p[order].cumsum(0) - p[order]
    first = torch.searchsorted(cell[order], torch.arange(n, device=graph.device))
    likelier = torch.empty_like(p)
    likelier[order] = before - before[first[cell[order]]]
    share = _uniform(n, seed).to(graph.device)
    scores = (likelier + share[cell] * p).clamp(0, 1)
    return scores[:n_links], scores[n_links:]


def true_scores(
    probabilities: LinkProbabilities,
    targets: LinkTargets,
    score: str = "LAC",
    seed: int | tuple[int, ...] = 0,
) -> Tensor:
    """Nonconformity of the truth of each known daughter; inf where her true mother is no candidate.

    Returns:
        (D,) float64, in the order of cells.

    Raises:
        InputError: An unknown score, or targets of another number of cells.
    """
    graph = probabilities.graph
    link, null = class_scores(probabilities, score, seed)
    truth = at_truth(link, null, graph, targets, missing=torch.inf)
    targets = targets.to(graph.device)
    return truth.masked_fill(~targets.reachable(graph), torch.inf)[targets.known]


def conformal_quantile(scores: Tensor, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of n scores; inf if there are fewer, or if that one is inf.

    If the n scores and a new one are exchangeable, the new one is at most this with probability at least
    `coverage`, and, where scores do not tie, at most `coverage` + 1 / (n + 1).

    Args:
        scores: (n,) floats.
        coverage: In (0, 1).

    Raises:
        InputError: A coverage outside (0, 1), no scores, or NaN among them.

    References:
        Vovk, Gammerman, Shafer, "Algorithmic learning in a random world" (2005); the form is that of Angelopoulos
        and Bates, "A gentle introduction to conformal prediction" (2021), sec. 1.

    >>> conformal_quantile(torch.arange(1.0, 10.0), 0.8), conformal_quantile(torch.arange(1.0, 10.0), 0.95)
    (8.0, inf)
    """
    _check_scores(scores, coverage)
    n = len(scores)
    rank = math.ceil(round((n + 1) * coverage, 9))  # 0.9 * 10 must not become 10
    return float(scores.sort().values[rank - 1]) if rank <= n else math.inf


def weighted_quantile(scores: Tensor, weights: Tensor, coverage: float, new_weight: float) -> float:
    """The smallest score up to which lie `coverage` of all weights, that of a new score among them; inf if none is.

    `conformal_quantile` where annotated daughters were drawn with unequal probabilities. Given the n that were drawn
    together with a random one of the others, let each of these n + 1 be the one that was not drawn with probability in
    proportion to her weight; then that one's score is at most this with probability at least `coverage`, where
    `new_weight` is at least hers. So it is with conditional Poisson sampling and weights 1 / odds: the probability of
    drawing all but j is in proportion to the product of all odds, divided by that of j (`AnnotationSample`).

    Args:
        scores: (n,) floats, of the truth.
        weights: (n,) floats of at least 0.
        coverage: In (0, 1).
        new_weight: The largest weight of a daughter who was not drawn.

    Raises:
        InputError: A coverage outside (0, 1), no scores, NaN among them, or weights that do not fit.

    References:
        Tibshirani, Barber, Candes, Ramdas, "Conformal prediction under covariate shift" (2019), lemma 3 and thm. 2.

    >>> weighted_quantile(torch.arange(1.0, 10.0), torch.ones(9), 0.8, 1.0)
    8.0
    >>> weighted_quantile(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([6.0, 3.0, 1.0]), 0.5, 1.0)
    1.0
    """
    if weights.shape != scores.shape or not bool((weights >= 0).all()) or not new_weight >= 0:
        raise InputError(
            f"weights are {tuple(weights.shape)} for {tuple(scores.shape)} scores; expected one of at least 0 for each"
        )
    _check_scores(scores, coverage)
    order = scores.argsort()
    up_to = weights[order].double().cumsum(0)
    needed = coverage * (float(up_to[-1]) + new_weight) * (1 - 1e-12)
    enough = (up_to >= needed).nonzero().squeeze(1)
    return float(scores[order[enough[0]]]) if len(enough) else math.inf


def set_sizes(link: Tensor, null: Tensor, graph: CandidateGraph) -> Tensor:
    """(N,) int64, how many classes each cell's set holds, from (E,) and (N,) bool.

    >>> import numpy as np
    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], [0.0])
    >>> set_sizes(torch.tensor([True]), torch.tensor([False, True]), graph)
    tensor([0, 2])
    """
    return segment_sum(link.long(), graph.daughter, graph.n_cells) + null.long()


def covered(link: Tensor, null: Tensor, graph: CandidateGraph, targets: LinkTargets) -> Tensor:
    """(D,) bool, whether each known daughter's set, given as (E,) and (N,) bool, holds the truth."""
    hit = segment_sum((link & targets.true_link(graph)).long(), graph.daughter, graph.n_cells) > 0
    targets = targets.to(graph.device)
    return torch.where(targets.mother < 0, null, hit)[targets.known]


def _check_scores(scores: Tensor, coverage: float) -> None:
    if not 0 < coverage < 1:
        raise InputError(f"coverage must lie between 0 and 1, got {coverage:g}")
    if not len(scores) or bool(scores.isnan().any()):
        raise InputError(
            f"{len(scores)} scores, {int(scores.isnan().sum())} of them NaN; expected at least one annotated daughter"
        )


def _uniform(n: int, seed: int | tuple[int, ...]) -> Tensor:

    return torch.from_numpy(np.random.default_rng(seed).uniform(size=n))
