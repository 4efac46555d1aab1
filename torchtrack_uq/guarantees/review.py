"""What annotated decisions teach about thresholds, small enough to stand in a calibration file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.guarantees.risk import (
    N_DECADES,
    STEPS_PER_DECADE,
    THRESHOLDS,
    certified_step,
    check_levels,
    fewest_decisions,
    smallest_certifiable,
)

_GRID = {"steps_per_decade": STEPS_PER_DECADE, "decades": N_DECADES}


@dataclass(frozen=True, eq=False)
class ReviewStatistic:
    """Counts of annotated decisions and of wrong ones between fixed thresholds, enough for any alpha and delta.

    The thresholds must not depend on the data for the promise to hold, so nothing is lost by counting.
    Statistics of several movies add up; what they then promise is for decisions drawn from all of them alike.

    Attributes:
        decisions: (601,) int64, how many decisions have THRESHOLDS[k] <= p < THRESHOLDS[k + 1].
        wrong: (601,) int64, how many of those are wrong.

    Raises:
        InputError: Counts of another shape, negative ones, or more wrong ones than decisions.

    >>> statistic = ReviewStatistic.of(np.full(400, 0.97), np.full(400, True))
    >>> statistic.threshold(0.01).threshold
    0.0
    """

    decisions: NDArray[np.int64]
    wrong: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, counts in (("decisions", self.decisions), ("wrong", self.wrong)):
            if counts.shape != THRESHOLDS.shape or counts.dtype != np.int64:
                raise InputError(
                    f"{name} is {counts.shape} of {counts.dtype}; expected {THRESHOLDS.shape} of int64"
                )
        if (self.wrong < 0).any() or (self.wrong > self.decisions).any():
            raise InputError("counts of wrong decisions must lie between 0 and the number of decisions")

    @classmethod
    def of(cls, probability: ArrayLike, correct: ArrayLike) -> "ReviewStatistic":
        """Count annotated decisions.

        Args:
            probability: (D,) floats in [0, 1], probability of each decision, as `decision_probability` gives it.
            correct: (D,) bools, whether the decision is right.

        Raises:
            InputError: Lengths that differ, or probabilities outside [0, 1].
        """
        p, right = np.asarray(probability, np.float64), np.asarray(correct)
        if p.ndim != 1 or p.shape != right.shape or right.dtype != np.bool_:
            raise InputError(
                f"probability is {p.shape} and correct {right.shape} of {right.dtype}; expected one number and one "
                "bool for each decision"
            )
        if not ((p >= 0) & (p <= 1)).all():  # also refuses NaN
            raise InputError("probabilities of decisions must lie in [0, 1]; leave out the cells of frame 0")
        step = np.searchsorted(THRESHOLDS, p, side="right") - 1

        def count(steps: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(steps, minlength=len(THRESHOLDS)).astype(np.int64)

        return cls(count(step), count(step[~right]))

    def __add__(self, other: "ReviewStatistic") -> "ReviewStatistic":
        return ReviewStatistic(self.decisions + other.decisions, self.wrong + other.wrong)

    def __len__(self) -> int:
        return int(self.decisions.sum())

    @property
    def accepted(self) -> NDArray[np.int64]:
        """(601,) int64, decisions with p >= THRESHOLDS[k]."""
        return np.cumsum(self.decisions[::-1])[::-1]

    @property
    def accepted_wrong(self) -> NDArray[np.int64]:
        """(601,) int64, wrong decisions with p >= THRESHOLDS[k]."""
        return np.cumsum(self.wrong[::-1])[::-1]

    def threshold(self, alpha: float, delta: float = 0.05) -> AcceptanceThreshold:
        """The laxest threshold that keeps the share of wrong ones among accepted decisions to alpha.

        Args:
            alpha: Share of errors to allow.
            delta: Probability with which the promise may fail; 1 - confidence.

        Raises:
            InputError: No threshold can be certified; the message says what could be, or how much annotation it
                takes. Or levels outside (0, 1).
        """
        check_levels(alpha, delta)
        accepted, wrong = self.accepted, self.accepted_wrong
        step = certified_step(accepted, wrong, alpha, delta)
        if step is None:
            raise InputError(self._refusal(alpha, delta))
        return AcceptanceThreshold(
            alpha=alpha,
            delta=delta,
            threshold=float(THRESHOLDS[step]),
            n_calibration=len(self),
            n_accepted=int(accepted[step]),
            n_wrong=int(wrong[step]),
        )

    def _refusal(self, alpha: float, delta: float) -> str:
        fewest = fewest_decisions(alpha, delta)
        promise = f"at most {alpha:.3g} wrong with {1 - delta:.3g} confidence"
        if len(self) < fewest:
            return (
                f"{len(self)} annotated decisions cannot certify {promise}: that takes at least {fewest}, none of them "
                "wrong; annotate more, or allow more errors"
            )
        best = smallest_certifiable(self.accepted, self.accepted_wrong, delta)
        possible = (
            f"the smallest share that can be is {best:.2g}" if best < 0.5 else "nor can any useful share be"
        )
        return (
            f"{len(self)} annotated decisions, {int(self.wrong.sum())} of them wrong, certify no threshold with "
            f"{promise}; {possible}; allow more errors, or annotate more"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file; `from_json` reads them back."""
        return {"grid": _GRID, "decisions": _sparse(self.decisions), "wrong": _sparse(self.wrong)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "ReviewStatistic":
        """Read back what `to_json` made.

        Raises:
            InputError: Something is missing, or the thresholds are others than this version's.
        """
        try:
            if stored["grid"] != _GRID:
                raise InputError(
                    f"the decisions were counted between thresholds {stored['grid']}, expected {_GRID}; fit again"
                )
            return cls(_dense(stored["decisions"]), _dense(stored["wrong"]))
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"the review statistic cannot be read ({error!r}); fit again") from error


def _sparse(counts: NDArray[np.int64]) -> dict[str, int]:
    return {str(k): int(counts[k]) for k in np.flatnonzero(counts)}


def _dense(counts: dict[str, int]) -> NDArray[np.int64]:
    dense = np.zeros(len(THRESHOLDS), np.int64)
    for k, count in counts.items():
        if not 0 <= int(k) < len(dense) or int(count) != count:
            raise InputError(f"the review statistic holds count {count!r} at step {k}; fit again")
        dense[int(k)] = count
    return dense
