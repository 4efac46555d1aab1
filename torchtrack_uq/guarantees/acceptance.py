"""A threshold above which decisions are accepted without review, with the promise that comes with it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.risk import (
    N_DECADES,
    STEPS_PER_DECADE,
    THRESHOLDS,
    certified_step,
    check_levels,
    fewest_decisions,
    smallest_alpha,
)
from torchtrack_uq.guarantees.sparse_counts import dense_counts, sparse_counts
from torchtrack_uq.utils.files import write_atomically
from torchtrack_uq.utils.json_text import parse_json


@dataclass(frozen=True)
class AcceptanceThreshold:
    """Of the decisions with p >= threshold at most alpha are wrong, with probability 1 - delta.

    Where `nulls` is False, decisions for "no mother" are never accepted: a tracker that offers a cell no candidate at
    all is perfectly sure that she has no mother, and may well be wrong.

    "With probability" is over the draw of the annotated decisions, and "are wrong" over all decisions like them: those
    that are exchangeable with the annotated ones. That is so for a random sample of one movie's daughters. It is not
    for other movies, other frame rates, other stages of a growing colony; and decisions of one frame depend on
    each other (two exchanged cells are two errors), so annotated frames carry less information than as many
    decisions spread over the movie. See docs/guarantees.md for what each costs, measured.

    Attributes:
        alpha: Share of errors among the accepted.
        delta: Probability with which the promise may fail.
        threshold: Accept decisions of at least this probability.
        nulls: Whether decisions for "no mother" may be accepted.
        n_calibration: Annotated decisions that it rests on.
        n_accepted: How many of those are accepted.
        n_wrong: How many of these are wrong.

    Raises:
        InputError: Levels outside (0, 1), or a threshold outside [0, 1].

    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.5, 1, 5000)
    >>> acceptance = AcceptanceThreshold.fit(p, rng.uniform(size=5000) < p, alpha=0.1, delta=0.05)
    >>> round(acceptance.threshold, 2)  # above it 0.92 are right, on average
    0.85
    >>> acceptance.accept([0.75, 0.95])
    array([False,  True])
    """

    alpha: float
    delta: float
    threshold: float
    nulls: bool
    n_calibration: int
    n_accepted: int
    n_wrong: int

    def __post_init__(self) -> None:
        check_levels(self.alpha, self.delta)
        if not 0 <= self.threshold <= 1:
            raise InputError(f"the threshold must be a probability, got {self.threshold:g}")

    @classmethod
    def fit(
        cls,
        decision_probability: ArrayLike,
        correct: ArrayLike,
        alpha: float,
        delta: float = 0.05,
        linked: ArrayLike | None = None,
    ) -> "AcceptanceThreshold":
        """Fit to annotated decisions; see `ReviewStatistic.threshold`, and `certified_step` for the test.

        Args:
            decision_probability: (D,) floats in [0, 1], float64 so that those near 1 differ.
            correct: (D,) bools.
            alpha: Share of errors to allow among the accepted.
            delta: Probability with which the promise may fail.
            linked: (D,) bools, whether the decision is a link and not "no mother"; all are by default.

        Raises:
            InputError: No threshold can be certified, or arguments that cannot be used.
        """
        return ReviewStatistic.of(decision_probability, correct, linked).threshold(alpha, delta)

    @property
    def confidence(self) -> float:
        """1 - delta."""
        return 1 - self.delta

    @property
    def promise(self) -> str:
        """The promise in words.

        >>> AcceptanceThreshold(0.01, 0.05, 0.9, True, 1000, 900, 2).promise
        'at most 1 % wrong with 95 % confidence'
        """
        return f"at most {100 * self.alpha:.3g} % wrong with {100 * self.confidence:.3g} % confidence"

    def accept(self, probability: ArrayLike, linked: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Which decisions to accept.

        Args:
            probability: (D,) floats; NaN is not accepted.
            linked: (D,) bools, whether each decision is a link; all are by default.

        Returns:
            (D,) bool.
        """
        sure = np.asarray(probability, np.float64) >= self.threshold
        return sure if self.nulls or linked is None else sure & np.asarray(linked)

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write to a JSON file."""
        write_atomically(Path(file), (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> "AcceptanceThreshold":
        """Read back what `save` wrote.

        Raises:
            InputError: The file is missing or holds something else.
        """
        try:
            return cls(**parse_json(Path(file).read_bytes()))
        except (OSError, ValueError, TypeError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{file} holds no acceptance threshold: {error}") from error


_SHAPE = (2, len(THRESHOLDS))
_GRID = {"steps_per_decade": STEPS_PER_DECADE, "decades": N_DECADES}


@dataclass(frozen=True, eq=False)
class ReviewStatistic:
    """Counts of annotated decisions and of wrong ones between fixed thresholds, enough for any alpha and delta.

    The thresholds must not depend on the data for the promise to hold, so nothing is lost by counting.
    Statistics of several movies add up; what they then promise is for decisions drawn from all of them alike.

    Links and decisions for "no mother" are counted apart, since they may be wrong for different reasons.

    Attributes:
        decisions: (2, 601) int64, how many decisions have THRESHOLDS[k] <= p < THRESHOLDS[k + 1]: links in row 0,
            "no mother" in row 1.
        wrong: (2, 601) int64, how many of those are wrong.

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
            if counts.shape != _SHAPE or counts.dtype != np.int64:
                raise InputError(f"{name} is {counts.shape} of {counts.dtype}; expected {_SHAPE} of int64")
        if (self.wrong < 0).any() or (self.wrong > self.decisions).any():
            raise InputError("counts of wrong decisions must lie between 0 and the number of decisions")

    @classmethod
    def of(
        cls, probability: ArrayLike, correct: ArrayLike, linked: ArrayLike | None = None
    ) -> "ReviewStatistic":
        """Count annotated decisions.

        Args:
            probability: (D,) floats in [0, 1], probability of each decision, as `decision_probability` gives it.
            correct: (D,) bools, whether the decision is right.
            linked: (D,) bools, whether the decision is a link and not "no mother"; all are by default.

        Raises:
            InputError: Lengths that differ, or probabilities outside [0, 1].
        """
        p, right = np.asarray(probability, np.float64), np.asarray(correct)
        is_link = np.ones(p.shape, np.bool_) if linked is None else np.asarray(linked)
        for name, flags in (("correct", right), ("linked", is_link)):
            if p.ndim != 1 or flags.shape != p.shape or flags.dtype != np.bool_:
                raise InputError(
                    f"probability is {p.shape} and {name} {flags.shape} of {flags.dtype}; expected one number and "
                    "one bool for each decision"
                )
        if not ((p >= 0) & (p <= 1)).all():  # also refuses NaN
            raise InputError("probabilities of decisions must lie in [0, 1]; leave out the cells of frame 0")
        step = np.searchsorted(THRESHOLDS, p, side="right") - 1

        def count(which: NDArray[np.bool_]) -> NDArray[np.int64]:
            rows = [np.bincount(step[which & row], minlength=_SHAPE[1]) for row in (is_link, ~is_link)]
            return np.stack(rows).astype(np.int64)

        return cls(count(np.ones_like(right)), count(~right))

    def __add__(self, other: "ReviewStatistic") -> "ReviewStatistic":
        return ReviewStatistic(self.decisions + other.decisions, self.wrong + other.wrong)

    def __len__(self) -> int:
        return int(self.decisions.sum())

    def accepted(self, *, nulls: bool = True) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(601,) int64 twice: decisions with p >= THRESHOLDS[k], and how many of them are wrong.

        Args:
            nulls: Whether decisions for "no mother" count; if not, they are never accepted.
        """
        rows = slice(0, 2 if nulls else 1)
        decisions, wrong = (
            np.cumsum(counts[rows].sum(0)[::-1])[::-1] for counts in (self.decisions, self.wrong)
        )
        return decisions, wrong

    def threshold(self, alpha: float, delta: float = 0.05) -> AcceptanceThreshold:
        """The laxest threshold that keeps the share of wrong ones among accepted decisions to alpha.

        Args:
            alpha: Share of errors to allow.
            delta: Probability with which the promise may fail; 1 - confidence.

        Raises:
            InputError: No threshold can be certified; the message says what could be, or how much annotation it
                takes. Or levels outside (0, 1).
        """
        certified = self.certified(alpha, delta)
        if certified is None:
            raise InputError(self._refusal(alpha, delta))
        step, nulls = certified
        accepted, wrong = self.accepted(nulls=nulls)
        return AcceptanceThreshold(
            alpha=alpha,
            delta=delta,
            threshold=float(THRESHOLDS[step]),
            nulls=nulls,
            n_calibration=len(self),
            n_accepted=int(accepted[step]),
            n_wrong=int(wrong[step]),
        )

    def certified(self, alpha: float, delta: float) -> tuple[int, bool] | None:
        """`certified_step` with and without decisions for "no mother", each at delta / 2.

        Returns:
            Index into `THRESHOLDS` and whether decisions for "no mother" may be accepted, from the one of the two
            that accepts more annotated decisions; None if neither certifies anything.
        """
        check_levels(alpha, delta)
        found: list[tuple[int, int, bool]] = []
        for nulls in (False, True):
            accepted, wrong = self.accepted(nulls=nulls)
            step = certified_step(accepted, wrong, alpha, delta / 2)
            if step is not None:
                found.append((int(accepted[step]), step, nulls))
        return max(found)[1:] if found else None

    def smallest_certifiable(self, delta: float) -> float:
        """The smallest alpha (to 1 %) for which a threshold can be certified; 1 if there is none."""
        return smallest_alpha(lambda alpha: self.certified(alpha, delta) is not None)

    def _refusal(self, alpha: float, delta: float) -> str:
        fewest = fewest_decisions(alpha, delta / 2)
        promise = f"at most {alpha:.3g} wrong with {1 - delta:.3g} confidence"
        if len(self) < fewest:
            return (
                f"{len(self)} annotated decisions cannot certify {promise}: that takes at least {fewest}, none of them "
                "wrong; annotate more, or allow more errors"
            )
        best = self.smallest_certifiable(delta)
        possible = (
            f"the smallest share that can be is {best:.2g}" if best < 0.5 else "nor can any useful share be"
        )
        return (
            f"{len(self)} annotated decisions, {int(self.wrong.sum())} of them wrong, certify no threshold with "
            f"{promise}; {possible}; allow more errors, or annotate more"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file; `from_json` reads them back."""
        return {"grid": _GRID, "decisions": sparse_counts(self.decisions), "wrong": sparse_counts(self.wrong)}

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
            return cls(dense_counts(stored["decisions"], _SHAPE), dense_counts(stored["wrong"], _SHAPE))
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"the review statistic cannot be read ({error!r}); fit again") from error
