"""Sorting with ties: running totals that do not depend on the order of equal values."""

from typing import NamedTuple

import torch
from torch import Tensor


class TieBlocks(NamedTuple):
    """N values in ascending order, equal ones as one block of U.

    Attributes:
        order: (N,) int64, indices that sort the values.
        last: (U,) int64, position in that order of the last member of each block.
    """

    order: Tensor
    last: Tensor


def tie_blocks(values: Tensor) -> TieBlocks:
    """Blocks of equal values, the smallest first.

    Args:
        values: (N,) float, without NaN.

    >>> tie_blocks(torch.tensor([0.5, 0.1, 0.5])).last
    tensor([0, 2])
    """
    ascending, order = torch.sort(values)
    differs = torch.ones(len(values), dtype=torch.bool, device=values.device)
    differs[:-1] = ascending[1:] != ascending[:-1]
    return TieBlocks(order, differs.nonzero().squeeze(1))


def running_total(values: Tensor, blocks: TieBlocks) -> Tensor:
    """Sum over each block and all before it.

    Args:
        values: (..., N), in the order that the values that were ranked had.
        blocks: Of the N ranked values.

    Returns:
        (..., U), of the same dtype.

    >>> running_total(torch.tensor([1, 10, 100]), tie_blocks(torch.tensor([0.5, 0.1, 0.5])))
    tensor([ 10, 111])
    """
    total = values.index_select(-1, blocks.order).cumsum(-1)
    return total if len(blocks.last) == len(blocks.order) else total.index_select(-1, blocks.last)


def before(total: Tensor) -> Tensor:
    """(..., U) running totals before each block: shifted by one, 0 first.

    >>> before(torch.tensor([10, 111]))
    tensor([ 0, 10])
    """
    return torch.cat([torch.zeros_like(total[..., :1]), total[..., :-1]], -1)
