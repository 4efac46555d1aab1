"""Decisions of one movie of which a sample was annotated, and what can be promised about all of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.guarantees.annotation_sample import AnnotationSample
from torchtrack_uq.guarantees.risk import THRESHOLDS, check_levels, smallest_alpha
from torchtrack_uq.guarantees.weighted_risk import weighted_step


@dataclass(frozen=True, eq=False)
class SampledReview:
    """N decisions of a movie, n of them drawn with known probabilities and annotated.

    The counterpart of `ReviewStatistic` for an `AnnotationSample`. What it promises is about these N decisions and over
    the draw of the sample; nothing has to be exchangeable. The probabilities must be those before the annotation: a
    temperature fitted to the same sample would make the thresholds depend on it.

    Attributes:
        probability: (N,) float64 in [0, 1], of each decision.
        linked: (N,) bool, whether it is a link and not "no mother".
        sample: Which were annotated, and how probable that was.
        correct: (n,) bool, whether these are right, in the order of `sample.cell`. What could not be judged counts as
            wrong.

    Raises:
        InputError: Lengths that differ, or probabilities outside [0, 1].

    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.9, 1, 5000)
    >>> sample = AnnotationSample.draw(1 - p, 500)
    >>> right = rng.uniform(size=500) < p[sample.cell]
    >>> review = SampledReview(p, np.ones(5000, np.bool_), sample, right)
    >>> review.threshold(alpha=0.1).promise
    'at most 10 % wrong with 95 % confidence'
    """

    probability: NDArray[np.float64]
    linked: NDArray[np.bool_]
    sample: AnnotationSample
    correct: NDArray[np.bool_]

    def __post_init__(self) -> None:
        p, n = self.probability, len(self.sample.inclusion)
        if p.shape != (n,) or self.linked.shape != (n,) or self.linked.dtype != np.bool_:
            raise InputError(
                f"probability is {p.shape} and linked {self.linked.shape} of {self.linked.dtype}; expected ({n},) "
                "numbers and bools, one for each decision that the sample was drawn from"
            )
        if self.correct.shape != (len(self.sample),) or self.correct.dtype != np.bool_:
            raise InputError(
                f"correct is {self.correct.shape} of {self.correct.dtype}; expected ({len(self.sample)},) bools, one "
                "for each decision of the sample, in its order"
            )
        if not ((p >= 0) & (p <= 1)).all():  # also refuses NaN
            raise InputError("probabilities of decisions must lie in [0, 1]; leave out the cells of frame 0")

    def threshold(self, alpha: float, delta: float = 0.05) -> AcceptanceThreshold:
        """The laxest threshold that keeps the share of wrong ones among all that it accepts to alpha.

        Args:
            alpha: Share of errors to allow.
            delta: Probability with which the promise may fail; 1 - confidence.

        Returns:
            Its counts are those of the sample.

        Raises:
            InputError: No threshold can be certified; the message says what could be. Or levels outside (0, 1).
        """
        found = self.certified(alpha, delta)
        if found is None:
            best = smallest_alpha(lambda share: self.certified(share, delta) is not None)
            possible = (
                f"the smallest share that can be is {best:.2g}"
                if best < 0.5
                else "nor can any useful share be"
            )
            raise InputError(
                f"{len(self.sample)} decisions of the sample, {int((~self.correct).sum())} of them wrong, certify no "
                f"threshold with at most {alpha:.3g} wrong with {1 - delta:.3g} confidence; {possible}; allow more "
                "errors, annotate more, or spread a larger share of the sample evenly"
            )
        step, nulls = found
        accepted = self._accepted(step, nulls)[self.sample.cell]
        return AcceptanceThreshold(
            alpha=alpha,
            delta=delta,
            threshold=float(THRESHOLDS[step]),
            nulls=nulls,
            n_calibration=len(self.sample),
            n_accepted=int(accepted.sum()),
            n_wrong=int((accepted & ~self.correct).sum()),
        )

    def certified(self, alpha: float, delta: float) -> tuple[int, bool] | None:
        """`weighted_step` with and without decisions for "no mother", each at delta / 2.

        Returns:
            Index into `THRESHOLDS` and whether decisions for "no mother" may be accepted, from the one of the two
            that accepts more of the N decisions; None if neither certifies anything.
        """
        check_levels(alpha, delta)
        found: list[tuple[int, int, bool]] = []
        for nulls in (False, True):
            offered = np.where(self.linked | nulls, self.probability, -1.0)
            step = weighted_step(
                offered, self.sample.inclusion, self.sample.cell, ~self.correct, alpha, delta / 2
            )
            if step is not None:
                found.append((int(self._accepted(step, nulls).sum()), step, nulls))
        return max(found)[1:] if found else None

    def _accepted(self, step: int, nulls: bool) -> NDArray[np.bool_]:
        return np.asarray((self.probability >= THRESHOLDS[step]) & (self.linked | nulls))


@dataclass(frozen=True)
class SampleEstimate:
    """A mean over N daughters, estimated from a sample of them.

    Attributes:
        mean: The estimate.
        standard_error: Its standard error over draws of the sample (Hajek's approximation); NaN for a sample of one.
    """

    mean: float
    standard_error: float


def sample_mean(
    sample: AnnotationSample, values: ArrayLike, expected: ArrayLike | None = None
) -> SampleEstimate:
    """Mean over all N daughters of something known of the sampled ones: errors, log-probabilities of the truth.

    With `expected`, mean(expected) + sum((value - expected) / pi) / N (Horvitz and Thompson 1952): unbiased whatever
    was expected, and the better the nearer that is; without, sum(value / pi) / sum(1 / pi) (Hajek 1971).

    Args:
        sample: The drawn daughters.
        values: (n,) floats, of the drawn daughters in the order of `sample.cell`.
        expected: (N,) floats, what the tracker's probabilities say of each daughter: its probability for whether a
            decision is right, its entropy for minus log-probability of the truth.

    Raises:
        InputError: Lengths that differ.

    References:
        Sarndal, Swensson, Wretman, "Model assisted survey sampling" (1992), sec. 6.3. Variance: Tille (2006), sec. 7.5.

    >>> sample = AnnotationSample.draw(np.ones(100), 20)
    >>> sample_mean(sample, np.ones(20))
    SampleEstimate(mean=1.0, standard_error=0.0)
    """
    y = np.asarray(values, np.float64)
    size = len(sample.inclusion)
    if y.shape != (len(sample),):
        raise InputError(
            f"values are {y.shape}; expected ({len(sample)},), one for each daughter of the sample"
        )
    if expected is None:
        mean = float(np.average(y, weights=sample.weight))
        left = y - mean
    else:
        guess = np.asarray(expected, np.float64)
        if guess.shape != (size,):
            raise InputError(f"expected is {guess.shape}; expected ({size},), one for each daughter")
        left = y - guess[sample.cell]
        mean = float(guess.mean() + (left * sample.weight).sum() / size)
    return SampleEstimate(mean, _standard_error(sample, left))


def _standard_error(sample: AnnotationSample, left: NDArray[np.float64]) -> float:
    """Of sum(left / pi) / N, for a sample of fixed size."""
    chance = 1 - sample.inclusion[sample.cell]
    n = int((chance > 0).sum())
    if n == 0:
        return 0.0
    if n == 1:
        return float("nan")
    y = left * sample.weight
    spread = (chance * (y - np.average(y, weights=chance)) ** 2).sum() * n / (n - 1)
    return float(np.sqrt(spread)) / len(sample.inclusion)
