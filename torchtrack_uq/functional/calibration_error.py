"""Whether probabilities keep their word: calibration errors and the negative log-likelihood.

Decisions with confidence p_i that turn out correct (c_i = 1) or not (0) are sorted into bins b of n_b each; with
their mean confidence and accuracy, and n decisions in all,

    l1:  sum over b of n_b/n |accuracy_b - confidence_b|               the expected calibration error, ECE
    l2:  sqrt(sum over b of n_b/n (accuracy_b - confidence_b)^2)       (Kumar et al., NeurIPS 2019)
    max: max over b of |accuracy_b - confidence_b|

(Naeini et al., AAAI 2015; Guo et al., ICML 2017). Yes/no events are decisions too: the probability is the
confidence and "it happened" is "correct".
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.segments import segment_sum
from torchtrack_uq.functional.sparsification import check_decisions
from torchtrack_uq.functional.ties import before, running_total, tie_blocks

NORMS = ("l1", "l2", "max")
PROBABILITY_FLOOR = 1e-6
_ROUNDING = 1e-5  # by so much may a sum of float32 probabilities exceed 1


class CalibrationBins(NamedTuple):
    """Sums over the decisions of each bin, (..., n_bins) float64. Sums of several data sets may be added.

    Attributes:
        n: Number of decisions.
        confidence: Sum of their confidences.
        correct: Number of correct ones.
    """

    n: Tensor
    confidence: Tensor
    correct: Tensor


def calibration_bins(confidence: Tensor, correct: Tensor, n_bins: int = 15) -> CalibrationBins:
    """Sort decisions into bins of equal width.

    Bin k holds k/n_bins <= p < (k + 1)/n_bins, and the last one p = 1 as well; torchmetrics itself gives p = 1
    a bin of its own (seen in 1.9), in which an overconfident method hides.

    Args:
        confidence: (N,) float, probabilities.
        correct: (N,) bool.
        n_bins: Number of bins, 15 as in torchmetrics.

    Raises:
        InputError: No decisions, values that are no probabilities, shapes or dtypes that do not fit, n_bins < 1.

    >>> calibration_bins(torch.tensor([0.2, 0.9, 1.0]), torch.tensor([False, True, True]), n_bins=2).n
    tensor([1., 2.], dtype=torch.float64)
    """
    check_bins(n_bins)
    check_probabilities(confidence, correct)
    group = torch.zeros(len(confidence), dtype=torch.int64, device=confidence.device)
    sums = calibration_bins_of_groups(confidence, correct, group, 1, n_bins)
    return CalibrationBins(*(values[0] for values in sums))


def calibration_bins_of_groups(
    confidence: Tensor, correct: Tensor, group: Tensor, n_groups: int, n_bins: int = 15
) -> CalibrationBins:
    """`calibration_bins` of each group of decisions, such as those of one frame.

    Args:
        confidence: (N,) float, probabilities; N may be 0.
        correct: (N,) bool.
        group: (N,) int64, group of each decision, in any order.
        n_groups: Number of groups G.
        n_bins: Number of bins.

    Returns:
        Sums of shape (G, n_bins).

    Raises:
        InputError: As `calibration_bins`.

    >>> p, correct = torch.tensor([0.2, 0.9, 1.0]), torch.tensor([False, True, True])
    >>> calibration_bins_of_groups(p, correct, torch.tensor([1, 0, 1]), 2, n_bins=2).n
    tensor([[0., 1.],
            [1., 1.]], dtype=torch.float64)
    """
    check_bins(n_bins)
    p = check_probabilities(confidence, correct) if len(confidence) else confidence.double()
    # without the edge 1 the last bin is open above, and takes p = 1
    edges = torch.linspace(0, 1, n_bins + 1, dtype=p.dtype, device=p.device)[:-1]
    cell = group * n_bins + torch.bucketize(p, edges, right=True) - 1
    sums = (segment_sum(values, cell, n_groups * n_bins) for values in (torch.ones_like(p), p, correct.to(p)))
    return CalibrationBins(*(values.reshape(n_groups, n_bins) for values in sums))


def binned_error(bins: CalibrationBins, norm: str = "l1") -> Tensor:
    """Calibration error of sums over bins (formulas above).

    Args:
        bins: Sums of shape (..., n_bins).
        norm: "l1", "l2" or "max", as in torchmetrics.

    Returns:
        (...) float64; NaN where there are no decisions.

    Raises:
        InputError: An unknown norm.

    >>> one = torch.ones(1)
    >>> binned_error(CalibrationBins(4 * one, 3 * one, 2 * one))
    tensor(0.2500)
    """
    check_norm(norm)
    gap = (bins.correct - bins.confidence).abs()
    n = bins.n.sum(-1)
    if norm == "l1":
        return gap.sum(-1) / n
    mean_gap = gap / bins.n.clamp(min=torch.finfo(gap.dtype).tiny)
    if norm == "l2":
        return ((mean_gap**2 * bins.n).sum(-1) / n).sqrt()
    return mean_gap.amax(-1).masked_fill(n == 0, torch.nan)


def calibration_error(confidence: Tensor, correct: Tensor, n_bins: int = 15, norm: str = "l1") -> Tensor:
    """Calibration error over bins of equal width: with norm "l1" the ECE.

    Args:
        confidence: (N,) float, probabilities.
        correct: (N,) bool.
        n_bins: Number of bins.
        norm: "l1", "l2" or "max", as in torchmetrics.

    Returns:
        Scalar float64, 0 (perfect) to 1.

    Raises:
        InputError: As `calibration_bins`, or an unknown norm.

    >>> calibration_error(torch.tensor([0.9, 0.9, 0.9, 0.9]), torch.tensor([True, True, True, False]))
    tensor(0.1500, dtype=torch.float64)
    """
    check_norm(norm)
    return binned_error(calibration_bins(confidence, correct, n_bins), norm)


def adaptive_calibration_error(
    confidence: Tensor, correct: Tensor, n_bins: int = 15, norm: str = "l1", count: Tensor | None = None
) -> Tensor:
    """Calibration error over bins of equal mass (Nguyen and O'Connor, EMNLP 2015; Nixon et al., CVPRW 2019).

    Every bin holds exactly N/n_bins decisions in order of confidence. A decision, or a block of equal
    confidences, that lies across an edge is shared out in proportion: the result depends on no order.

    Args:
        confidence: (N,) float, probabilities.
        correct: (N,) bool.
        n_bins: Number of bins.
        norm: "l1", "l2" or "max".
        count: (..., N) int64, how often each decision counts (bootstrap); once by default.

    Returns:
        (...) float64; NaN where all counts are 0.

    Raises:
        InputError: As `calibration_error`.

    >>> p, correct = torch.tensor([0.9, 0.8, 0.3, 0.2]), torch.tensor([True, True, True, False])
    >>> adaptive_calibration_error(p, correct, n_bins=2)  # (|.5 - .25| + |1 - .85|) / 2
    tensor(0.2000, dtype=torch.float64)
    """
    check_bins(n_bins)
    check_norm(norm)
    p = check_probabilities(confidence, correct)
    count = torch.ones_like(correct, dtype=torch.int64) if count is None else count
    blocks = tie_blocks(p)
    mass = running_total(count, blocks).double()
    excess = running_total(count * (correct.double() - p), blocks)
    n = mass[..., -1:]
    edges = n * (torch.arange(n_bins + 1, dtype=p.dtype, device=p.device) / n_bins)
    at = torch.searchsorted(mass.contiguous(), edges.contiguous()).clamp(max=mass.shape[-1] - 1)
    start, excess_start = before(mass).gather(-1, at), before(excess).gather(-1, at)
    width = (mass.gather(-1, at) - start).clamp(min=1)
    share = ((edges - start) / width).clamp(0, 1)
    at_edge = excess_start + share * (excess.gather(-1, at) - excess_start)
    gap = at_edge.diff(dim=-1)
    per_bin = (n / n_bins).expand(gap.shape)
    return binned_error(CalibrationBins(per_bin, torch.zeros_like(gap), gap), norm)


def negative_log_likelihood(true_log_p: Tensor, floor: float = PROBABILITY_FLOOR) -> Tensor:
    """-log p of the truth, p being floored so that a truth which is no class costs much but not infinity.

    Args:
        true_log_p: (N,) float, log-probability of the truth; -inf where it is no class.
        floor: Smallest probability that counts; 1e-6 costs 13.8 nats.

    Returns:
        (N,) of the same dtype, in nats; differentiable where p is above the floor. Its mean is the NLL.

    Raises:
        InputError: NaN, probabilities above 1, or a floor outside (0, 1).

    >>> negative_log_likelihood(torch.tensor([0.5, 0.0]).log())
    tensor([ 0.6931, 13.8155])
    """
    if not 0 < floor < 1:
        raise InputError(f"the floor is {floor}; expected a probability between 0 and 1")
    if bool(true_log_p.isnan().any()) or bool((true_log_p > _ROUNDING).any()):
        raise InputError("some log-probabilities are NaN or above 0; expected values from -inf to 0")
    lowest = torch.tensor(floor, dtype=true_log_p.dtype, device=true_log_p.device).log()
    return -torch.maximum(true_log_p, lowest)


def check_bins(n_bins: int) -> None:
    """Raise an InputError unless this is a number of bins."""
    if not isinstance(n_bins, int) or n_bins < 1:
        raise InputError(f"n_bins is {n_bins}; expected a whole number of at least 1")


def check_norm(norm: str) -> None:
    """Raise an InputError unless this is a norm."""
    if norm not in NORMS:
        raise InputError(f"norm is {norm!r}; expected one of {', '.join(NORMS)}")


def check_probabilities(values: Tensor, outcome: Tensor) -> Tensor:
    """(N,) float64 probabilities without gradient, or an InputError."""
    check_decisions(values, outcome)
    low, high = float(values.min()), float(values.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(f"probabilities run from {low:g} to {high:g}; expected 0 to 1, not scores or logits")
    return values.detach().double().clamp(0, 1)
