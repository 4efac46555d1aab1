"""How many of the decisions that nobody looked at can be wrong, whatever made a person look at the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.risk import check_levels

_FACTORS = (1.0, 5.0)
"""How much more is wrong than the tracker expects, to begin with; the bets on each share the stake."""
_STRENGTH = 1.0
_UNKNOWN_RATE = 0.01
_RATES = (1e-6, 0.5)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Looks:
    """Which of N decisions a person looked at, in the order in which she did.

    Attributes:
        n: How many decisions there are.
        cell: (L,) int64, which of the N each look was at; each at most once.
        drawn: (L,) bool, whether it was drawn, with equal chances, among all that had not been looked at before. The
            others she chose, for whatever reason: doubt, a hunch, what she saw in earlier looks.
        wrong: (L,) bool, whether the tracker's decision was wrong.
        answered: (L,) bool, whether she came to a verdict; `wrong` means nothing where not.
        expected: (N,) float64 in [0, 1], how probable it was before all looks that each decision is wrong; None where
            nobody said. Bounds hold whatever it says, and are the tighter the truer it is.

    Raises:
        InputError: Arrays that do not fit each other, a decision that was looked at twice, or numbers outside [0, 1].
    """

    n: int
    cell: NDArray[np.int64]
    drawn: Bools
    wrong: Bools
    answered: Bools
    expected: Floats | None = None

    def __post_init__(self) -> None:
        size = self.cell.shape
        flags = {"drawn": self.drawn, "wrong": self.wrong, "answered": self.answered}
        for name, array in flags.items():
            if array.shape != size or array.dtype != np.bool_ or len(size) != 1:
                raise InputError(
                    f"{name} is {array.shape} of {array.dtype} for {size} looks; expected a bool each"
                )
        if len(self.cell) and (self.cell.min() < 0 or self.cell.max() >= self.n):
            raise InputError(f"looks run beyond the {self.n} decisions")
        if len(np.unique(self.cell)) != len(self.cell):
            raise InputError("a decision was looked at twice; count its first look only")
        if self.expected is not None and (
            self.expected.shape != (self.n,) or not ((self.expected >= 0) & (self.expected <= 1)).all()
        ):
            raise InputError(f"expected is {self.expected.shape}; expected ({self.n},) probabilities")

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def n_left(self) -> int:
        """Decisions that nobody looked at."""
        return self.n - len(self)

    def errors_left(self, delta: float = 0.05) -> int:
        """Upper bound on how many of the `n_left` decisions are wrong; fails with probability delta at most.

        However looks were chosen and whenever she stops: the promise is kept at all times at once. Only looks that were
        drawn tell anything about what nobody saw, so without any the bound is `n_left`.

        If M are wrong among those left, a look drawn at time t finds an error with probability
        r_t = (M + errors found from t on) / (decisions left at t). Betting on it with any probabilities q_t that depend
        on the past alone, the capital, product of q_t(x_t) / r_t(x_t), is a martingale that begins at 1; by Ville's
        inequality it ever reaches 1 / delta with probability delta at most. All M for which it has are refuted. Looks
        that she chose bet nothing, and what they find is known. Up to the first look without a verdict, all count;
        after it, only the errors that were found do.

        Args:
            delta: Probability with which the bound may fail, over the draws.

        Raises:
            InputError: delta outside (0, 1).

        References:
            Waudby-Smith and Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020 (where all
            looks are drawn). Shekhar, Xu, Lipton, Liang, Ramdas, "Risk-limiting financial audits via weighted sampling
            without replacement", UAI 2023 (bets on looks chosen with other probabilities). Ville (1939).

        >>> none = np.zeros(300, np.bool_)
        >>> Looks(5000, np.arange(300), ~none, none, ~none).errors_left()
        78
        >>> Looks(5000, np.arange(300), none, none, ~none).errors_left()
        4700
        """
        check_levels(0.5, delta)
        unanswered = np.flatnonzero(~self.answered)
        counted = int(unanswered[0]) if len(unanswered) else len(self)
        later = int((self.wrong & self.answered)[counted:].sum())
        bound = _largest(self.n, self.drawn[:counted], self.wrong[:counted], self._rates(counted), delta)
        return min(max(bound - later, 0), self.n_left)

    def share_left(self, delta: float = 0.05) -> float:
        """`errors_left` as a share of `n_left`; 0 where nothing is left."""
        return self.errors_left(delta) / self.n_left if self.n_left else 0.0

    def draws_to_go(self, share: float, delta: float = 0.05) -> int:
        """Fewest further looks, drawn evenly, after which the bound is at most `share` of what is left then.

        If none of them finds an error; each that does asks for more.

        Args:
            share: Share of errors to allow among what nobody looked at.
            delta: As for `errors_left`.

        Raises:
            InputError: Levels outside (0, 1), or looks without a verdict, which have to be answered first.

        >>> none = np.zeros(300, np.bool_)
        >>> Looks(5000, np.arange(300), ~none, none, ~none).draws_to_go(0.01)
        262
        """
        check_levels(share, delta)
        if not self.answered.all():
            raise InputError(f"{int((~self.answered).sum())} looks have no verdict yet; answer these first")
        few, enough = -1, self.n_left
        while enough - few > 1:
            middle = (few + enough) // 2
            if self._after(middle, delta) <= share * (self.n_left - middle):
                enough = middle
            else:
                few = middle
        return enough

    def _after(self, k: int, delta: float) -> int:
        """The bound after k more draws that find nothing."""
        drawn = np.concatenate([self.drawn, np.ones(k, np.bool_)])
        wrong = np.concatenate([self.wrong, np.zeros(k, np.bool_)])
        rates = self._rates(len(self))
        rates = np.concatenate([rates, np.full(k, self._next_rate())])
        return _largest(self.n, drawn, wrong, rates, delta)

    def _rates(self, counted: int) -> Floats:
        """(counted,) share of what is left that is expected to be wrong, before each look."""
        if self.expected is None:
            return np.full(counted, _UNKNOWN_RATE)
        seen = self.expected[self.cell[:counted]]
        left = self.expected.sum() - np.concatenate([[0.0], np.cumsum(seen)])[:counted]
        return np.asarray(np.maximum(left, 0) / (self.n - np.arange(counted)))

    def _next_rate(self) -> float:
        if self.expected is None or not self.n_left:
            return _UNKNOWN_RATE
        return max(float(self.expected.sum() - self.expected[self.cell].sum()), 0.0) / self.n_left


def log_stakes(drawn: Bools, wrong: Bools, rates: Floats) -> float:
    """Log of the mean, over `_FACTORS`, of the product over drawn looks of q_t(x_t).

    q_t = rate_t (a + errors drawn before) / (a / factor + rates of draws before), the posterior mean of a Poisson
    process whose rate is a Gamma-distributed multiple of what was expected.

    Args:
        drawn: (L,) bool.
        wrong: (L,) bool.
        rates: (L,) float64, expected share of errors before each look.
    """
    rate, hit = rates[drawn], wrong[drawn]
    before = np.concatenate([[0.0], np.cumsum(rate)])[: len(rate)]
    found = np.concatenate([[0.0], np.cumsum(hit)])[: len(rate)]
    each = []
    for factor in _FACTORS:
        q = np.clip(rate * (_STRENGTH + found) / (_STRENGTH / factor + before), *_RATES)
        each.append(np.where(hit, np.log(q), np.log1p(-q)).sum())
    return float(np.logaddexp.reduce(each) - np.log(len(each)))


def _largest(n: int, drawn: Bools, wrong: Bools, rates: Floats, delta: float) -> int:
    """The largest number of errors left that is not refuted.

    The logarithm of the capital is convex in that number: minus a sum of logarithms of linear functions of it.
    """
    left = n - len(drawn)
    pool = (n - np.arange(len(drawn)))[drawn].astype(np.float64)
    found = np.cumsum(wrong[::-1])[::-1][drawn].astype(np.float64)
    hit = wrong[drawn]
    stakes = log_stakes(drawn, wrong, rates)

    def log_capital(m: int) -> float:
        with np.errstate(divide="ignore"):
            chance = np.where(hit, m + found, pool - m - found) / pool
            return float(stakes - np.log(np.maximum(chance, 0)).sum())

    low, high = 0, left  # the number with the least capital
    while low < high:
        middle = (low + high) // 2
        if log_capital(middle) <= log_capital(middle + 1):
            high = middle
        else:
            low = middle + 1
    kept, refuted = low, left + 1
    while refuted - kept > 1:
        middle = (kept + refuted) // 2
        if log_capital(middle) < -np.log(delta):
            kept = middle
        else:
            refuted = middle
    return kept
