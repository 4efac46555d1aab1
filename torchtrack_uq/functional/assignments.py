"""The log-weight of an assignment, and marginals of a list of assignments: the algebra of paper eq. 1 to 4.

All of it is written in *choices*: one flat vector of E + 3 N numbers holds the scores of E links, then of N
cells appearing, disappearing and dividing. An assignment is a 0/1 vector of choices A, its log-weight the
inner product L(A) = A · scores, its marginals the weighted mean of such vectors.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.functional.segments import segment_logsumexp, segment_sum


class ListedMarginals(NamedTuple):
    """What a list of assignments says.

    Attributes:
        choice: (C,) float, probability of every choice.
        log_total: (P,) float, log of the summed weights of each frame pair's list.
        last: (P,) float, probability of the last assignment of each list, its least likely.
    """

    choice: Tensor
    log_total: Tensor
    last: Tensor


def choices_of(
    chosen: Tensor, mother: Tensor, daughter: Tensor, is_daughter: Tensor, is_mother: Tensor
) -> Tensor:
    """Which choices an assignment of a whole movie makes.

    Args:
        chosen: (E,) bool, its links.
        mother: (E,) int64, mother of each candidate link.
        daughter: (E,) int64, its daughter.
        is_daughter: (N,) bool, cells that have a frame before.
        is_mother: (N,) bool, cells that have a frame after.

    Returns:
        (E + 3 N,) bool; events of cells that cannot have them are False.

    >>> one, two = torch.tensor([True, False]), torch.tensor([False, True])
    >>> choices_of(torch.tensor([True]), torch.tensor([0]), torch.tensor([1]), two, one).tolist()
    [True, False, False, False, False, False, False]
    """
    n = len(is_daughter)
    has_mother = segment_sum(chosen.to(torch.float32), daughter, n) > 0
    n_daughters = segment_sum(chosen.to(torch.float32), mother, n)
    events = (is_daughter & ~has_mother, is_mother & (n_daughters == 0), is_mother & (n_daughters == 2))
    return torch.cat([chosen, *events])


def log_weight(scores: Tensor, choices: Tensor, pair: Tensor, n_pairs: int) -> Tensor:
    """Log-weight L(A) of an assignment in every frame pair (paper eq. 1, with division scores).

    Args:
        scores: (C,) float scores of all choices.
        choices: (C,) bool, the choices that A makes.
        pair: (C,) int64, frame pair that each choice belongs to; any value where `choices` is False.
        n_pairs: Number of frame pairs P.

    Returns:
        (P,) sums; -inf where A makes a forbidden choice.

    >>> log_weight(torch.tensor([-1.0, -2.0]), torch.tensor([True, False]), torch.tensor([0, 0]), 1)
    tensor([-1.])
    """
    made = choices.nonzero().squeeze(1)
    return segment_sum(scores[made], pair[made], n_pairs)


def listed_marginals(
    scores: Tensor,
    base: Tensor,
    row: Tensor,
    changed: Tensor,
    sign: Tensor,
    pair_of_row: Tensor,
    base_weight: Tensor,
) -> ListedMarginals:
    """Marginals of listed assignments with weights proportional to exp(L(A)): paper eq. 4.

    The assignments of each frame pair are written as differences to one of them, the base. The gradient is
    that of a softmax over the listed energies: the support is fixed.

    Args:
        scores: (C,) float scores of all choices, divided by the temperature.
        base: (C,) bool, choices of the base assignments.
        row: (D,) int64, listed assignment of each difference; rows of one pair lie together, its last is the
            least likely.
        changed: (D,) int64, choice that differs.
        sign: (D,) float, +1 where the assignment makes the choice and the base does not, -1 the other way.
        pair_of_row: (R,) int64, frame pair of each listed assignment, not decreasing; every pair has one.
        base_weight: (P,) log-weight of each base assignment.

    Returns:
        Probabilities of all choices, log of the summed weights, probability of each pair's last assignment.

    >>> listed = listed_marginals(  # one daughter: its only link against null
    ...     torch.tensor([0.0, 1.0]), torch.tensor([True, False]), torch.tensor([1, 1]), torch.tensor([0, 1]),
    ...     torch.tensor([-1.0, 1.0]), torch.tensor([0, 0]), torch.tensor([0.0]))
    >>> listed.choice
    tensor([0.2689, 0.7311])
    """
    n_rows, n_pairs = len(pair_of_row), len(base_weight)
    gain = segment_sum(sign * scores[changed], row, n_rows)
    log_total = segment_logsumexp(gain, pair_of_row, n_pairs)
    p = torch.exp(gain - log_total[pair_of_row])
    choice = base.to(scores.dtype).index_add(0, changed, sign * p[row])
    # rounding of 1 - (1 - p) must not give a negative probability
    choice = choice.clamp(min=0.0)
    rows_of_pair = torch.bincount(pair_of_row, minlength=n_pairs)
    last = p[torch.cumsum(rows_of_pair, 0) - 1]
    return ListedMarginals(choice, base_weight + log_total, last)
