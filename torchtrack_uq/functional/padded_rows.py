"""Links as rows of a padded matrix, one row a cell, and logarithms of sums along them.

A row's sums are those of its entries one after the other, whatever its padding and its company: a movie has the same
numbers alone and in a batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor

ABSENT = -1e9  # padding, below every sum of forbidden scores


class PaddedRows(NamedTuple):
    """Where each link stands.

    Attributes:
        cell: (E,) int64, its row.
        slot: (E,) int64, its column.
        n_cells: Number of rows N.
        width: Number of columns W, the links of the longest row.

    >>> by_mother, _ = PaddedRows.of(torch.tensor([0, 1, 0]), torch.tensor([2, 2, 3]), 4)
    >>> by_mother.pad(torch.tensor([5.0, 6.0, 7.0]))[:2]
    tensor([[ 5.0000e+00,  7.0000e+00],
            [ 6.0000e+00, -1.0000e+09]])
    """

    cell: Tensor
    slot: Tensor
    n_cells: int
    width: int

    @classmethod
    def of(cls, mother: Tensor, daughter: Tensor, n_cells: int) -> "tuple[PaddedRows, PaddedRows]":
        """By mother and by daughter; waits for the device once, to learn the longest rows."""
        counts = [
            cell.new_zeros(n_cells).index_add(0, cell, torch.ones_like(cell)) for cell in (mother, daughter)
        ]
        widths = torch.stack(counts).amax(1).tolist() if len(mother) else [0, 0]
        by_mother, by_daughter = (
            cls(cell, _places(cell, count), n_cells, int(width))
            for cell, count, width in zip((mother, daughter), counts, widths, strict=True)
        )
        return by_mother, by_daughter

    def pad(self, values: Tensor) -> Tensor:
        """(E,) numbers of links as (N, W) rows, ABSENT elsewhere."""
        rows = values.new_full((self.n_cells, self.width), ABSENT)
        return rows.index_put((self.cell, self.slot), values)

    def back(self, rows: Tensor) -> Tensor:
        """(N, W) rows as (E,) numbers of links."""
        return rows[self.cell, self.slot]


def _places(cell: Tensor, counts: Tensor) -> Tensor:
    """Place of each link among those of its cell."""
    order = torch.argsort(cell, stable=True)
    first = torch.cumsum(counts, 0) - counts
    rank = torch.arange(len(cell), device=cell.device) - first[cell[order]]
    return torch.empty_like(cell).index_put((order,), rank)


class RowSums(NamedTuple):
    """Logsumexp of parts of each row, (N, W) each, from the weights exp(x - peak) before and after each entry."""

    weight_before: Tensor
    weight_after: Tensor
    peak: Tensor

    @property
    def before(self) -> Tensor:
        """Of the entries before each; ABSENT where there are none."""
        return _log_or_absent(self.weight_before, self.peak)

    @property
    def after(self) -> Tensor:
        """Of the entries behind each."""
        return _log_or_absent(self.weight_after, self.peak)

    @property
    def others(self) -> Tensor:
        """Of all entries of the row but each itself."""
        return _log_or_absent(self.weight_before + self.weight_after, self.peak)


def row_sums(x: Tensor) -> RowSums:
    """Sums over the entries before and over those behind each entry of a row.

    Running sums to either side rather than total minus own, which would cancel. What lies 700 nats below the
    largest entry of a row is lost, which no probability can tell.
    """
    if not x.numel():
        return RowSums(x, x, x)
    peak = x.detach().amax(1, keepdim=True)
    weight = torch.exp(x - peak)
    nothing = weight.new_zeros(len(x), 1)
    before = torch.cat([nothing, weight.cumsum(1)[:, :-1]], 1)
    after = torch.cat([weight.flip(1).cumsum(1).flip(1)[:, 1:], nothing], 1)
    return RowSums(before, after, peak)


def row_total(x: Tensor) -> Tensor:
    """(N,) logsumexp of each row, in the order of its entries whatever its padding; ABSENT for an empty one."""
    if not x.numel():
        return x.new_full((len(x),), ABSENT)
    peak = x.detach().amax(1, keepdim=True)
    total = torch.exp(x - peak).cumsum(1)[:, -1:]
    return (torch.log(total) + peak).squeeze(1)


def log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)), of finite numbers.

    `torch.logaddexp` takes another function for the last entries of a tensor than for the others, so that a movie would
    get other numbers in a batch.

    >>> log_add(torch.zeros(1), torch.zeros(1))
    tensor([0.6931])
    """
    top, less = torch.maximum(a, b), torch.minimum(a, b)
    if torch.is_grad_enabled():
        return top + torch.log1p(torch.exp(less - top))
    return less.sub_(top).exp_().log1p_().add_(top)


def _log_or_absent(total: Tensor, peak: Tensor) -> Tensor:
    zero = total <= 0
    return (torch.log(total.masked_fill(zero, 1.0)) + peak).masked_fill(zero, ABSENT)
