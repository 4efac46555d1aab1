"""The classification view of tracking: which mother, or none, for each daughter (paper eq. 5 and 6)."""

import torch
from torch import Tensor

from torchtrack_uq.functional.segments import segment_max, segment_sum, shifted_logsumexp


def parental_log_softmax(
    score: Tensor, daughter: Tensor, null_score: Tensor, *, null_class: bool = True
) -> tuple[Tensor, Tensor]:
    """Log-probability of every candidate link, and of "no mother", by softmax over each daughter's mothers.

    P(i | j) = exp(s_ij) / (exp(a_j) + sum over i' of exp(s_i'j)): equation 5 of "Reliable Cell Trackers Say
    'I dunno!'" with one more class, "no mother", of score a_j. Trackastra's quiet softmax is the case a = 0.

    Args:
        score: (E,) float, s of each candidate link; -inf forbids a link.
        daughter: (E,) int64, the daughter of each link.
        null_score: (N,) float, a of each daughter.
        null_class: Whether "no mother" is a class; if not, only daughters without any candidate have none.

    Returns:
        (E,) log P(i | j) and (N,) log P(none | j). A daughter without candidates has P(none) = 1.

    >>> link, null = parental_log_softmax(torch.zeros(2), torch.tensor([0, 0]), torch.zeros(2))
    >>> link.exp(), null.exp()
    (tensor([0.3333, 0.3333]), tensor([0.3333, 1.0000]))
    """
    n_daughters = len(null_score)
    if not null_class:
        null_score = torch.full_like(null_score, -torch.inf)
    with torch.no_grad():
        stranded = torch.maximum(segment_max(score, daughter, n_daughters), null_score) == -torch.inf
    null_score = null_score.masked_fill(stranded, 0.0)
    peak, log_total = shifted_logsumexp(score, daughter, n_daughters, extra=null_score)
    return (score - peak[daughter]) - log_total[daughter], (null_score - peak) - log_total


def class_entropy(log_link: Tensor, daughter: Tensor, log_null: Tensor) -> Tensor:
    """Entropy in nats of each daughter's distribution over mothers and "no mother" (paper eq. 6).

    Args:
        log_link: (E,) log-probability of each link.
        daughter: (E,) int64.
        log_null: (N,) log-probability of "no mother".

    Returns:
        (N,) tensor, H_j = - sum over classes of P log P, with 0 log 0 = 0.

    >>> class_entropy(torch.full((1,), 0.5).log(), torch.tensor([0]), torch.full((1,), 0.5).log())
    tensor([0.6931])
    """
    return segment_sum(_plogp(log_link), daughter, len(log_null)).add(_plogp(log_null)).neg()


def top_probability(log_link: Tensor, daughter: Tensor, log_null: Tensor) -> Tensor:
    """Confidence: probability of each daughter's likeliest class, "no mother" included; (N,) tensor.

    >>> top_probability(torch.tensor([0.7]).log(), torch.tensor([0]), torch.tensor([0.3]).log())
    tensor([0.7000])
    """
    return torch.maximum(segment_max(log_link, daughter, len(log_null)), log_null).exp()


def safe_log(p: Tensor) -> Tensor:
    """log(p) with -inf and gradient 0, not NaN, at p = 0; any shape.

    >>> safe_log(torch.tensor([0.0, 1.0]))
    tensor([-inf, 0.])
    """
    zero = p <= 0
    return torch.log(p.masked_fill(zero, 1.0)).masked_fill(zero, -torch.inf)


def _plogp(log_p: Tensor) -> Tensor:
    finite = log_p.masked_fill(log_p == -torch.inf, 0.0)
    return torch.where(log_p == -torch.inf, 0.0, finite.exp() * finite)
