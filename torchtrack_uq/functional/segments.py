"""Reductions over the segments of a flat tensor, for instance over the candidate links of each daughter."""

import torch
from torch import Tensor


def segment_sum(values: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Sum of the values of each segment, 0 for an empty one.

    Args:
        values: (E,) float tensor.
        segment: (E,) int64, the segment of each value, in any order.
        n_segments: Number of segments S.

    Returns:
        (S,) tensor.

    >>> segment_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2]), 3)
    tensor([1., 0., 6.])
    """
    return values.new_zeros(n_segments).index_add(0, segment, values)


def segment_max(values: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Largest value of each segment, -inf for an empty one; shapes as in `segment_sum`.

    >>> segment_max(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2]), 3)
    tensor([1., -inf, 4.])
    """
    return values.new_full((n_segments,), -torch.inf).scatter_reduce(0, segment, values, "amax")


def segment_logsumexp(
    values: Tensor, segment: Tensor, n_segments: int, extra: Tensor | None = None
) -> Tensor:
    """log(sum(exp(values))) of each segment, without overflow; -inf for an empty one.

    Args:
        values: (E,) float tensor; -inf counts as absent.
        segment: (E,) int64, the segment of each value.
        n_segments: Number of segments S.
        extra: (S,) one more value for each segment, such as the score of the null class.

    Returns:
        (S,) tensor, differentiable in `values` and `extra`.

    >>> segment_logsumexp(torch.tensor([1e4, 1e4]), torch.tensor([0, 0]), 2)
    tensor([10000.6934,       -inf])
    """
    shift, log_total = shifted_logsumexp(values, segment, n_segments, extra)
    return log_total + shift


def shifted_logsumexp(
    values: Tensor, segment: Tensor, n_segments: int, extra: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`segment_logsumexp` as two summands, each segment's peak (without gradient) and the rest.

    (values - peak) - rest keeps the digits that values - (peak + rest) loses for large values.

    >>> shifted_logsumexp(torch.tensor([1e4, 1e4]), torch.tensor([0, 0]), 1)
    (tensor([10000.]), tensor([0.6931]))
    """
    with torch.no_grad():
        peak = segment_max(values, segment, n_segments)
        if extra is not None:
            peak = torch.maximum(peak, extra)
        empty = peak == -torch.inf
        shift = peak.masked_fill(empty, 0.0)
    total = segment_sum(torch.exp(values - shift[segment]), segment, n_segments)
    if extra is not None:
        total = total + torch.exp(extra - shift)
    # log(0) has no gradient: an empty segment takes log(1) and is overwritten.
    return shift, torch.log(total.masked_fill(empty, 1.0)).masked_fill(empty, -torch.inf)
