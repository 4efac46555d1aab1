"""Link probabilities that respect how many daughters a mother can have."""

import torch
from torch import Tensor

from torchtrack_uq.functional.segments import segment_sum

_ROUNDING = 1e-5  # keeps sums of capped probabilities within the capacity when they are rounded to float32


def cap_daughters(link: Tensor, mother: Tensor, daughter: Tensor, capacity: Tensor) -> tuple[Tensor, Tensor]:
    """Scale down the links of mothers that expect more daughters than they can have.

    What a link loses goes to "no mother" of its daughter, so the probabilities of a daughter still sum to 1.

    Args:
        link: (E,) float, probability of each link.
        mother: (E,) int64, its mother.
        daughter: (E,) int64, its daughter.
        capacity: (N,) float, most daughters of each cell.

    Returns:
        (E,) probabilities with at most `capacity` expected daughters a mother, and (N,) what is left for
        "no mother".

    >>> cap_daughters(torch.ones(3), torch.tensor([0, 0, 0]), torch.tensor([1, 2, 3]), torch.full((4,), 2.0))
    (tensor([0.6667, 0.6667, 0.6667]), tensor([1.0000, 0.3333, 0.3333, 0.3333]))
    """
    n = len(capacity)
    expected = segment_sum(link, mother, n)
    lowered = capacity * (1 - _ROUNDING) / expected.clamp(min=1e-30)
    share = torch.where(expected > capacity * (1 + 1e-9), lowered, torch.ones_like(expected))
    capped = link * share[mother]
    return capped, (1 - segment_sum(capped, daughter, n)).clamp(min=0.0)


def plainest_events(expected: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of no and of two daughters, given the expected number (at most 2), with the fewest events.

    Args:
        expected: (N,) float, expected number of daughters.

    Returns:
        (N,) probability of none, max(0, 1 - expected), and (N,) of two, max(0, expected - 1).

    >>> plainest_events(torch.tensor([0.25, 1.5]))
    (tensor([0.7500, 0.0000]), tensor([0.0000, 0.5000]))
    """
    return (1 - expected).clamp(min=0.0), (expected - 1).clamp(min=0.0)
