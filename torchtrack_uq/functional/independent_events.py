"""Probabilities of division and disappearance from link probabilities."""

import torch
from torch import Tensor

from torchtrack_uq.functional.segments import segment_sum


def independent_events(link: Tensor, mother: Tensor, n_cells: int) -> tuple[Tensor, Tensor]:
    """Probability of no daughter and of two or more, if every daughter chose its mother independently.

    That is the classification view (SM): it ignores that a mother has at most two daughters. The number of
    daughters then is a sum of independent yes/no variables (Poisson binomial).

    Args:
        link: (E,) probability of each candidate link.
        mother: (E,) int64, its mother.
        n_cells: Number of cells N.

    Returns:
        (N,) probability of disappearance and (N,) of division.

    >>> independent_events(torch.tensor([0.5, 0.5]), torch.tensor([0, 0]), 2)
    (tensor([0.2500, 1.0000]), tensor([0.2500, 0.0000]))
    """
    tiny = torch.finfo(link.dtype).tiny
    log_miss = torch.log((1 - link).clamp(min=tiny))
    log_none = segment_sum(log_miss, mother, n_cells)
    # exactly one: this link, and none of the mother's others
    log_only = torch.log(link.clamp(min=tiny)) + log_none[mother] - log_miss
    one = segment_sum(torch.exp(log_only), mother, n_cells)
    none = torch.exp(log_none)
    return none, (1 - none - one).clamp(min=0)
