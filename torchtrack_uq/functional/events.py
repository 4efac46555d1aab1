"""Probabilities of division and disappearance from link probabilities."""

import torch
from torch import Tensor

from torchtrack_uq.functional.segments import segment_sum


def independent_events(link: Tensor, mother: Tensor, n_cells: int) -> tuple[Tensor, Tensor]:
    """Probability of no daughter and of two or more, if every daughter chose its mother independently.

    That is the classification view (SM): it ignores that a mother has at most two daughters. The number of
    daughters then is a sum of independent yes/no variables (Poisson binomial), built up link by link.

    Args:
        link: (E,) probability of each candidate link.
        mother: (E,) int64, its mother.
        n_cells: Number of cells N.

    Returns:
        (N,) probability of disappearance and (N,) of division.

    >>> independent_events(torch.tensor([0.5, 0.5]), torch.tensor([0, 0]), 2)
    (tensor([0.2500, 1.0000]), tensor([0.2500, 0.0000]))
    """
    order = torch.argsort(mother, stable=True)
    link, mother = link[order], mother[order]
    degree = segment_sum(torch.ones_like(mother), mother, n_cells)
    rank = torch.arange(len(mother), device=mother.device) - (torch.cumsum(degree, 0) - degree)[mother]
    none, one = link.new_ones(n_cells), link.new_zeros(n_cells)
    for r in range(int(degree.max()) if len(mother) else 0):
        p = link.new_zeros(n_cells).index_add(0, mother[rank == r], link[rank == r])
        none, one = none * (1 - p), one * (1 - p) + none * p
    return none, (1 - none - one).clamp(min=0)
