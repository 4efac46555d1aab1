"""How well an uncertainty finds the wrong decisions: sparsification curve, AURC and AUSE.

Keep the k most certain of n decisions. Their *selective risk* r(k) is the share of wrong ones among them, at
*coverage* k/n (Geifman and El-Yaniv, NeurIPS 2017). Then

    AURC = 1/n sum over k = 1..n of r(k)             (Geifman, Uziel and El-Yaniv, ICLR 2019)
    AUSE = 1/n sum over k = 1..n of r(k) - r*(k)     (Ilg et al., ECCV 2018)

where r* is the risk of an oracle that removes all wrong decisions first. Ilg et al. subtract curves of an error
measure against the share removed; the error measure is here "the mother is wrong", not normalised, so AUSE is
the excess AURC of Geifman et al. The sparsification curve is the accuracy 1 - r(k) against the share removed
1 - k/n. Decisions of equal uncertainty come in random order: every r(k) is its expected value, so no result
depends on the order of the input.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.ties import before, running_total, tie_blocks


class SelectiveAreas(NamedTuple):
    """AURC and AUSE: (...) float64, 0 is best."""

    aurc: Tensor
    ause: Tensor


class SparsificationCurve(NamedTuple):
    """Accuracy of what is kept, against the share of most uncertain decisions removed.

    Attributes:
        removed: (N,) float64, shares 0, 1/N, ..., (N - 1)/N.
        accuracy: (N,) float64, expected accuracy of the rest.
        oracle: (N,) float64, the same if all wrong decisions were removed first.
    """

    removed: Tensor
    accuracy: Tensor
    oracle: Tensor


def selective_areas(uncertainty: Tensor, correct: Tensor, count: Tensor | None = None) -> SelectiveAreas:
    """AURC and AUSE of decisions ranked by an uncertainty, exact under ties.

    Within a block of m equal uncertainties, e of them wrong, after K decisions of which E are wrong, the
    expected risks r(K + 1), ..., r(K + m) sum to e + (E - K e/m) (H(K + m) - H(K)), H being harmonic numbers.

    Args:
        uncertainty: (N,) float, such as an entropy or 1 - confidence; only its order counts.
        correct: (N,) bool.
        count: (..., N) int64, how often each decision counts (bootstrap); once by default.

    Returns:
        Areas of shape (...); NaN where all counts are 0.

    Raises:
        InputError: No decisions, NaN, or shapes and dtypes that do not fit.

    >>> selective_areas(torch.tensor([0.3, 0.1, 0.2]), torch.tensor([True, True, False])).aurc  # (0 + 1/2 + 1/3)/3
    tensor(0.2778, dtype=torch.float64)
    """
    check_decisions(uncertainty, correct)
    count = torch.ones_like(correct, dtype=torch.int64) if count is None else count
    blocks = tie_blocks(uncertainty)
    kept = running_total(count, blocks)
    wrong = running_total(count * ~correct, blocks)
    n, n_wrong = kept[..., -1], wrong[..., -1]
    steps = torch.arange(1, int(n.max()) + 1, dtype=torch.float64, device=count.device)
    harmonic = torch.cat([steps.new_zeros(1), (1 / steps).cumsum(0)])
    kept_before, wrong_before = before(kept), before(wrong)
    steps_to = harmonic.index_select(0, kept.flatten()).view(kept.shape)
    wrong_here = wrong - wrong_before
    rate = wrong_here.double() / (kept - kept_before).clamp(min=1)
    risks = wrong_here + (wrong_before - kept_before * rate) * (steps_to - before(steps_to))
    area = risks.sum(-1)
    n_right = n - n_wrong
    oracle = n_wrong - n_right * (harmonic[n] - harmonic[n_right])
    # rounding may leave the oracle order a hair below the oracle
    return SelectiveAreas(area / n, ((area - oracle) / n).clamp(min=0.0))


def sparsification_curve(uncertainty: Tensor, correct: Tensor) -> SparsificationCurve:
    """Accuracy against the share of most uncertain decisions removed.

    Args:
        uncertainty: (N,) float, such as an entropy or 1 - confidence.
        correct: (N,) bool.

    Raises:
        InputError: As `selective_areas`.

    >>> sparsification_curve(torch.tensor([0.2, 0.1]), torch.tensor([False, True])).accuracy
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    check_decisions(uncertainty, correct)
    n = len(correct)
    kept = torch.arange(n, 0, -1, device=correct.device)

    def accuracy(values: Tensor) -> Tensor:
        blocks = tie_blocks(values)
        ends = blocks.last + 1
        right = running_total(correct.to(torch.int64), blocks).double()
        size = ends - before(ends)
        rate = (right - before(right)) / size
        return rate.repeat_interleave(size).cumsum(0).flip(0) / kept

    removed = 1 - kept.double() / n
    return SparsificationCurve(removed, accuracy(uncertainty), accuracy(1 - correct.double()))


def check_decisions(values: Tensor, correct: Tensor) -> None:
    """Raise an InputError unless these are (N,) numbers without NaN and (N,) bool, N > 0."""
    if values.ndim != 1 or values.shape != correct.shape:
        raise InputError(
            f"values of shape {tuple(values.shape)} with outcomes of shape {tuple(correct.shape)}; expected two "
            "vectors of one length"
        )
    if not values.is_floating_point() or correct.dtype != torch.bool:
        raise InputError(
            f"values are {values.dtype} and outcomes {correct.dtype}; expected floating point and bool"
        )
    if not len(values):
        raise InputError("there is nothing to judge: give at least one decision whose truth is known")
    if bool(values.isnan().any()):
        raise InputError(f"{int(values.isnan().sum())} of {len(values)} values are NaN; expected numbers")
