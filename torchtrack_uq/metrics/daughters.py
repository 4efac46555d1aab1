"""Metrics over daughters whose true mother is known, as torchmetrics Metrics.

All of them keep the same states, so a `MetricCollection` judges each movie once and updates one of them. States
are concatenated over processes.
"""

import warnings
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.calibration_error import (
    adaptive_calibration_error,
    calibration_error,
    check_bins,
    check_norm,
    negative_log_likelihood,
)
from torchtrack_uq.functional.sparsification import SparsificationCurve, selective_areas, sparsification_curve
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.judged import JudgedDaughters, judge
from torchtrack_uq.truth.targets import LinkTargets

_FIELDS = tuple(item.name for item in fields(JudgedDaughters))


def uncertainty_of(judged: JudgedDaughters, by: str) -> Tensor:
    """(D,) uncertainty: 1 - confidence or the entropy.

    Args:
        judged: Daughters.
        by: "confidence" or "entropy".

    Raises:
        InputError: Another name.
    """
    if by == "confidence":
        return 1 - judged.confidence.detach()
    if by == "entropy":
        return judged.entropy.detach()
    raise InputError(f"uncertainty by {by!r} is unknown; expected 'confidence' or 'entropy'")


class DaughterMetric(Metric):  # type: ignore[misc, unused-ignore]
    """A number computed from judged daughters. Subclasses say which in `value`.

    `update` takes the probabilities and targets of a movie, or daughters that are judged already. Without any
    daughter to judge, `compute` warns and returns NaN.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in _FIELDS:
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self, probabilities: LinkProbabilities | JudgedDaughters, targets: LinkTargets | None = None
    ) -> None:
        """Add a movie.

        Args:
            probabilities: Of a movie, by any method; or its judged daughters, then without targets.
            targets: The movie's true mothers.

        Raises:
            InputError: Probabilities without targets, judged daughters with them, or another number of cells.
        """
        if isinstance(probabilities, LinkProbabilities) and targets is not None:
            judged = judge(probabilities, targets)
        elif isinstance(probabilities, JudgedDaughters) and targets is None:
            judged = probabilities
        else:
            raise InputError("give update() probabilities and targets, or judged daughters alone")
        for name in _FIELDS:
            getattr(self, name).append(getattr(judged, name).detach().to(self.device))

    def compute(self) -> Tensor:
        """The metric over all daughters so far: scalar float64 on the metric's device."""
        every = self.judged()
        if every is None or not len(self._subset(every)):
            warnings.warn(
                f"{type(self).__name__} has no daughter to judge and is NaN: no movie was given, or none of its "
                "cells is annotated as this metric needs",
                stacklevel=2,
            )
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return self.of(every)

    def of(self, judged: JudgedDaughters) -> Tensor:
        """The metric of some daughters, whatever was updated: scalar; NaN where none of them counts."""
        counted = self._subset(judged)
        if not len(counted):
            return torch.tensor(torch.nan, dtype=torch.float64, device=judged.confidence.device)
        return self.value(counted)

    def judged(self) -> JudgedDaughters | None:
        """All daughters so far, or None before the first update."""
        if isinstance(self.cell, list) and not self.cell:
            return None
        return JudgedDaughters(**{name: dim_zero_cat(getattr(self, name)) for name in _FIELDS})

    def value(self, judged: JudgedDaughters) -> Tensor:
        """The metric of at least one daughter."""
        raise NotImplementedError

    def _subset(self, judged: JudgedDaughters) -> JudgedDaughters:
        return judged


class MotherAccuracy(DaughterMetric):
    """Share of daughters whose likeliest class is their true mother, or rightly null.

    Args:
        after_gap: Only daughters whose true mother stands more than one frame before.
        **kwargs: As every torchmetrics Metric.

    >>> metric = MotherAccuracy()
    >>> metric.update(example_daughters())
    >>> metric.compute()
    tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, after_gap: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.only_after_gap = after_gap

    def value(self, judged: JudgedDaughters) -> Tensor:
        """Mean of `correct`."""
        return judged.correct.double().mean()

    def _subset(self, judged: JudgedDaughters) -> JudgedDaughters:
        return judged.where(judged.after_gap) if self.only_after_gap else judged


class BrierScore(DaughterMetric):
    """Mean over daughters of the sum over classes of (p - y)^2, 0 to 2 (Brier, Monthly Weather Review 78, 1950)."""

    def value(self, judged: JudgedDaughters) -> Tensor:
        """Mean of `brier`."""
        return judged.brier.mean()


class NegativeLogLikelihood(DaughterMetric):
    """Mean of -log p of the truth in nats, p floored at 1e-6.

    Args:
        reachable: Only daughters whose true mother is a candidate.
        **kwargs: As every torchmetrics Metric.

    >>> metric = NegativeLogLikelihood()
    >>> metric.update(example_daughters())
    >>> metric.compute()
    tensor(0.7985, dtype=torch.float64)
    """

    def __init__(self, reachable: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.only_reachable = reachable

    def value(self, judged: JudgedDaughters) -> Tensor:
        """Mean of the floored -log p."""
        return negative_log_likelihood(judged.true_log_p).mean()

    def _subset(self, judged: JudgedDaughters) -> JudgedDaughters:
        return judged.where(judged.reachable) if self.only_reachable else judged


class UnreachableDaughters(DaughterMetric):
    """Number of daughters whose true mother is no candidate: no method could find her."""

    def value(self, judged: JudgedDaughters) -> Tensor:
        """A count."""
        return (~judged.reachable).sum()


class TopLabelCalibrationError(DaughterMetric):
    """Calibration error of the likeliest class, over bins of equal width.

    Args:
        n_bins: Number of bins.
        norm: "l1" (ECE), "l2" or "max", as in torchmetrics.
        with_mother: Only daughters that truly have a mother.
        adaptive: Bins of equal mass instead.
        **kwargs: As every torchmetrics Metric.

    Raises:
        InputError: n_bins below 1, or an unknown norm.

    >>> metric = TopLabelCalibrationError(n_bins=2)
    >>> metric.update(example_daughters())
    >>> metric.compute()  # 0.9 right and 0.6 wrong: in the same bin
    tensor(0.2500, dtype=torch.float64)
    """

    def __init__(
        self,
        n_bins: int = 15,
        norm: str = "l1",
        with_mother: bool = False,
        adaptive: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_bins(n_bins)
        check_norm(norm)
        self.n_bins, self.norm, self.with_mother, self.adaptive = n_bins, norm, with_mother, adaptive

    def value(self, judged: JudgedDaughters) -> Tensor:
        """Calibration error of confidence against correct."""
        error = adaptive_calibration_error if self.adaptive else calibration_error
        return error(judged.confidence, judged.correct, self.n_bins, self.norm)

    def _subset(self, judged: JudgedDaughters) -> JudgedDaughters:
        return judged.where(judged.has_mother) if self.with_mother else judged


class _Selective(DaughterMetric):
    """Areas and curves by an uncertainty: "confidence" (1 - confidence) or "entropy"."""

    def __init__(self, by: str = "confidence", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if by not in ("confidence", "entropy"):
            raise InputError(f"uncertainty by {by!r} is unknown; expected 'confidence' or 'entropy'")
        self.by = by

    def curve(self) -> SparsificationCurve:
        """Accuracy against the share of most uncertain daughters removed, with that of an oracle.

        Raises:
            InputError: No daughter so far.
        """
        judged = self.judged()
        if judged is None:
            raise InputError("there is no sparsification curve before the first update()")
        return sparsification_curve(uncertainty_of(judged, self.by), judged.correct)


class AURC(_Selective):
    """Area under the risk-coverage curve: `functional.sparsification` has the definition.

    Args:
        by: "confidence" or "entropy".
        **kwargs: As every torchmetrics Metric.

    Raises:
        InputError: Another uncertainty.
    """

    def value(self, judged: JudgedDaughters) -> Tensor:
        """Mean selective risk over all coverages."""
        return selective_areas(uncertainty_of(judged, self.by), judged.correct).aurc


class AUSE(_Selective):
    """Area under the sparsification error: AURC less that of an oracle; `functional.sparsification` has the definition.

    Args:
        by: "confidence" or "entropy".
        **kwargs: As every torchmetrics Metric.

    Raises:
        InputError: Another uncertainty.
    """

    def value(self, judged: JudgedDaughters) -> Tensor:
        """Mean excess risk over all coverages."""
        return selective_areas(uncertainty_of(judged, self.by), judged.correct).ause


def example_daughters() -> JudgedDaughters:
    """Two daughters for examples: 0.9 sure and right, 0.6 sure of a wrong mother (0.225 for the true one).

    >>> example_daughters().confidence
    tensor([0.9000, 0.6000], dtype=torch.float64)
    """
    p = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.225, 0.175]], dtype=torch.float64)
    yes = torch.tensor([True, True])
    truth = torch.tensor([0, 1])
    hot = torch.nn.functional.one_hot(truth, 3)
    entropy = -torch.special.xlogy(p, p).sum(1)
    return JudgedDaughters(
        cell=torch.tensor([2, 3]),
        frame=torch.tensor([1, 1]),
        has_mother=yes,
        reachable=yes,
        true_log_p=p[[0, 1], truth].log(),
        confidence=p.amax(1),
        correct=p.argmax(1) == truth,
        entropy=entropy,
        brier=((p - hot) ** 2).sum(1),
        after_gap=~yes,
    )
