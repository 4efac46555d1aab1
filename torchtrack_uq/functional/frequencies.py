"""From how often an event occurred to probabilities that are never 0."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.functional.capacity import cap_daughters
from torchtrack_uq.functional.segments import segment_sum
from torchtrack_uq.functional.softmax import parental_log_softmax, safe_log


class Tempered(NamedTuple):
    """Log-probabilities (E,) of links and (N,) of no mother; probabilities (N,) of none and two daughters."""

    log_link: Tensor
    log_null: Tensor
    disappear: Tensor
    divide: Tensor


def tempered_frequencies(
    link: Tensor,
    null: Tensor,
    disappear: Tensor,
    divide: Tensor,
    mother: Tensor,
    daughter: Tensor,
    offered: Tensor,
    can_divide: Tensor,
    temperature: Tensor,
    eps: float,
    null_class: bool = True,
) -> Tempered:
    """Probabilities from frequencies f among R assignments: softmax of log(f + eps) / T.

    Over the mothers of each daughter and null, and over none, one and two daughters of each mother. Mothers
    that would then expect more daughters than they can have are scaled down (`cap_daughters`).

    Args:
        link: (E,) float, frequency of each link.
        null: (N,) frequency of no mother.
        disappear: (N,) frequency of no daughter.
        divide: (N,) frequency of two daughters.
        mother: (E,) int64.
        daughter: (E,) int64.
        offered: (E,) bool, links that can occur at all.
        can_divide: (N,) bool, cells that may have two daughters.
        temperature: Scalar T.
        eps: Pseudo-count as a frequency; 1 / (2 R) keeps every probability above 0.
        null_class: Whether having no mother is a class; if not, only daughters that were never linked have none, and
            mothers are not scaled down.

    >>> one, two = torch.ones(1), torch.zeros(2)
    >>> found = tempered_frequencies(one, two, two, two, torch.tensor([0]), torch.tensor([1]),
    ...     torch.tensor([True]), torch.tensor([False, False]), torch.tensor(1.0), 0.025)
    >>> found.log_link.exp()  # 1.025 / (1.025 + 0.025)
    tensor([0.9762])
    """
    n = len(null)

    def logit(frequency: Tensor) -> Tensor:
        never = frequency + eps <= 0  # log 0 / T would have no gradient
        return (safe_log((frequency + eps).masked_fill(never, 1.0)) / temperature).masked_fill(
            never, -torch.inf
        )

    log_link, log_null = parental_log_softmax(
        logit(link).masked_fill(~offered, -torch.inf), daughter, logit(null), null_class=null_class
    )
    if null_class:
        capacity = torch.where(can_divide, 2.0, 1.0).to(link)
        log_link, log_null = map(safe_log, cap_daughters(log_link.exp(), mother, daughter, capacity))
    candidates = segment_sum(offered.to(link), mother, n)
    one = (1 - disappear - divide).clamp(min=0.0)
    classes = torch.stack(
        [
            logit(disappear),
            logit(one).masked_fill(candidates < 1, -torch.inf),
            logit(divide).masked_fill((candidates < 2) | ~can_divide, -torch.inf),
        ]
    )
    impossible = (classes == -torch.inf).all(0)
    load = torch.softmax(classes.masked_fill(impossible, 0.0), 0)
    return Tempered(log_link, log_null, load[0], load[2])
