"""A threshold above which decisions are accepted without review, with the promise that comes with it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.atomic import write_atomically
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.risk import check_levels


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
        from torchtrack_uq.guarantees.review import ReviewStatistic

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
            return cls(**json.loads(Path(file).read_text()))
        except (OSError, ValueError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{file} holds no acceptance threshold: {error}") from error
