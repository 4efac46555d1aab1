"""Which daughters to annotate: a random sample that prefers the useful ones, with known probabilities."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from torchtrack_uq.errors import InputError

RANDOM = 0.5
"""Share of the annotations that is spread evenly. See experiments/results/annotation_sample.md for others."""
_TOLERANCE = 1e-7  # relative; the probabilities that are reported are those of the draw, whatever was wanted
_MOST_ROUNDS = 100
_CERTAIN = 1 - 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AnnotationSample:
    """n of N daughters, drawn without replacement, and how probable each of the N was to be drawn.

    Conditional Poisson sampling: the chance of a sample is proportional to the product of its members' odds, among
    all samples of n. So its members are negatively associated, whatever is decided about them bounds on sums hold
    that hold for independent draws; and given sample and one more daughter, which of them is the one more has
    probabilities in proportion to 1 / odds, which is all that weighted conformal prediction needs.

    Attributes:
        cell: (n,) int64, positions among the N, in random order, so that whoever stops early has a sample too.
        inclusion: (N,) float64, probability of each daughter to be drawn, exact; 1 for those drawn in any case.
        odds: (N,) float64, of conditional Poisson sampling; inf for those drawn in any case.

    Raises:
        InputError: Arrays that do not fit each other, or probabilities outside (0, 1].

    References:
        Hajek, "Asymptotic theory of rejective sampling" (1964). Tille, "Sampling algorithms" (2006), ch. 5.
        Branden and Jonasson, "Negative dependence in sampling" (2012): it is strongly Rayleigh.

    >>> sample = AnnotationSample.draw([0.0, 0.1, 0.4, 0.5], 2, random=0.5, seed=0)
    >>> sample.inclusion.round(4)
    array([0.25, 0.35, 0.65, 0.75])
    >>> len(sample), float(sample.inclusion.sum().round(9))
    (2, 2.0)
    """

    cell: NDArray[np.int64]
    inclusion: Floats
    odds: Floats

    def __post_init__(self) -> None:
        inclusion, odds, cell = self.inclusion, self.odds, self.cell
        if inclusion.ndim != 1 or odds.shape != inclusion.shape or cell.ndim != 1:
            raise InputError(
                f"inclusion is {inclusion.shape}, odds {odds.shape} and cell {cell.shape}; expected (N,), (N,) and (n,)"
            )
        if not ((inclusion > 0) & (inclusion <= 1)).all() or not (odds > 0).all():
            raise InputError("probabilities to be drawn must lie in (0, 1], and odds above 0")
        if len(cell) and (cell.min() < 0 or cell.max() >= len(inclusion)):
            raise InputError(f"cells of the sample run beyond the {len(inclusion)} that it was drawn from")
        if len(np.unique(cell)) != len(cell):
            raise InputError("a cell stands in the sample twice; it is drawn without replacement")

    @classmethod
    def draw(
        cls, usefulness: ArrayLike, n: int, *, random: float = RANDOM, seed: int = 0
    ) -> "AnnotationSample":
        """Draw n daughters, a share of them evenly, the others in proportion to usefulness.

        Args:
            usefulness: (N,) numbers of at least 0, such as `usefulness`.
            n: How many to draw, at most N.
            random: Share in (0, 1] that is spread evenly: no daughter has a probability below random n / N, so no
                weight is above N / (random n).
            seed: Of the draw; the same seed and numbers give the same daughters.

        Raises:
            InputError: Arguments that cannot be used.
        """
        wanted = wanted_inclusion(usefulness, n, random)
        rng = np.random.default_rng(seed)
        certain = wanted >= _CERTAIN
        odds = np.full(len(wanted), np.inf)
        inclusion = np.ones(len(wanted))
        left = n - int(certain.sum())
        drawn = certain.copy()
        if left:
            odds[~certain], inclusion[~certain] = odds_for(wanted[~certain], left)
            drawn[~certain] = _reject_until(odds[~certain], left, rng)
        return cls(rng.permutation(np.flatnonzero(drawn)), inclusion, odds)

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def weight(self) -> Floats:
        """(n,) float64, 1 / inclusion of each drawn daughter: how many of the N she stands for."""
        return np.asarray(1 / self.inclusion[self.cell])

    @property
    def conformal_weight(self) -> Floats:
        """(n,) float64, 1 / odds of each drawn daughter; see `weighted_quantile`."""
        return np.asarray(1 / self.odds[self.cell])

    @property
    def new_conformal_weight(self) -> float:
        """The largest 1 / odds of a daughter who was not drawn; 0 if all were."""
        rest = np.ones(len(self.odds), np.bool_)
        rest[self.cell] = False
        return float((1 / self.odds[rest]).max(initial=0.0))

    def first(self, k: int) -> "AnnotationSample":
        """The sample of whoever annotates the first k daughters of the list only.

        Every probability is k / n of what it was, and the members are negatively associated still: thinning and
        conditioning on the size keep a measure strongly Rayleigh. When to stop must not depend on what was found.

        Args:
            k: From 1 to n.

        Raises:
            InputError: Another k.
        """
        if not 1 <= k <= len(self):
            raise InputError(
                f"the sample holds {len(self)} daughters; expected a number from 1 to that, got {k}"
            )
        return replace(self, cell=self.cell[:k], inclusion=self.inclusion * (k / len(self)))


def usefulness(probability: ArrayLike) -> Floats:
    """Standard deviation of "the decision is right", sqrt(p (1 - p)): Neyman's allocation to estimate how many are.

    Args:
        probability: (N,) of each decision, in [0, 1].

    Raises:
        InputError: A number outside [0, 1].

    References:
        Neyman, "On the two different aspects of the representative method" (1934).

    >>> usefulness([0.5, 0.9, 1.0])
    array([0.5, 0.3, 0. ])
    """
    p = np.asarray(probability, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("probabilities of decisions must lie in [0, 1]; leave out the cells of frame 0")
    return np.asarray(np.sqrt(p * (1 - p)))


def wanted_inclusion(usefulness: ArrayLike, n: int, random: float = RANDOM) -> Floats:
    """(N,) float64 with sum n: random n / N for each, and the rest in proportion to usefulness, up to 1.

    Raises:
        InputError: n that is no number from 1 to N, a share outside (0, 1], usefulness that is negative or not finite.

    >>> wanted_inclusion([0.0, 1.0, 1.0, 8.0], 2, random=0.5)
    array([0.25 , 0.375, 0.375, 1.   ])
    """
    u = np.asarray(usefulness, np.float64)
    if u.ndim != 1 or not (np.isfinite(u) & (u >= 0)).all():
        raise InputError("usefulness must be finite numbers of at least 0, one for each daughter")
    if n != int(n) or not 1 <= n <= len(u):
        raise InputError(f"cannot draw {n} of {len(u)} daughters; expected a number from 1 to {len(u)}")
    if not 0 < random <= 1:
        raise InputError(
            f"the share drawn evenly must be above 0 and at most 1, got {random:g}: without it no promise is possible"
        )
    base = random * n / len(u)
    if random == 1:
        return np.full(len(u), base)
    u = (
        np.maximum(u, 1e-9 * u.max()) if u.any() else np.ones_like(u)
    )  # where few are useful, the rest fills up
    u = u / u.sum()
    order = np.argsort(-u, kind="stable")
    sorted_u = u[order]
    capped = np.arange(len(u))
    rest = np.cumsum(sorted_u[::-1])[::-1]  # of those from each position on
    slope = ((1 - random) * n - capped * (1 - base)) / rest
    k = int(np.argmax(slope * sorted_u <= (1 - base) * (1 + 1e-12)))
    wanted: Floats = np.empty(len(u))
    wanted[order] = base + np.minimum(slope[k] * sorted_u, 1 - base)
    wanted[order[:k]] = 1.0
    return wanted


def inclusion_of(odds: ArrayLike, n: int) -> Floats:
    """(N,) float64, exact inclusion probabilities of conditional Poisson sampling of n.

    pi_i = o_i e_{n-1}(all but i) / e_n(all), e_k being the elementary symmetric polynomial of the odds. Both come from
    a tree of products, upwards for all and downwards for all but one, of numbers that are never subtracted: the usual
    recursion over n (Tille 2006, eq. 5.13) loses all digits where odds are above 3.

    >>> inclusion_of([1.0, 1.0, 2.0], 2).round(12)  # samples 01, 02, 12 have odds 1, 2, 2
    array([0.6, 0.6, 0.8])
    """
    o = np.asarray(odds, np.float64)
    if n >= len(o):
        return np.ones_like(o)
    o = _scaled(o, n)
    p = o / (1 + o)
    depth = max(0, math.ceil(math.log2(len(p))))
    leaves = np.zeros((2**depth, 2))
    leaves[:, 0] = 1.0
    leaves[: len(p)] = np.stack([1 - p, p], 1)
    tree = [leaves]  # [level][node, k]: probability that k of the node's daughters are drawn, independently
    for _ in range(depth):
        left, right = tree[-1][::2], tree[-1][1::2]
        before = left.shape[1] - 1
        windows = sliding_window_view(np.pad(right, ((0, 0), (before, before))), before + 1, axis=1)
        tree.append(np.einsum("ij,ikj->ik", left[:, ::-1], windows[:, : n + 1]))
    others: Floats = np.zeros((1, n + 1))  # [node, k]: that n - k of those outside the node are
    others[0, n] = 1.0
    for nodes in reversed(tree[:-1]):
        size = nodes.shape[1]
        windows = sliding_window_view(np.pad(others, ((0, 0), (0, size))), size, axis=1)[:, :size]
        others = np.empty(nodes.shape)
        for side in (0, 1):
            others[side::2] = np.einsum("ij,ikj->ik", nodes[1 - side :: 2], windows)
    drawn, left_out = p * others[: len(p), 1], (1 - p) * others[: len(p), 0]
    return np.asarray(drawn / (drawn + left_out))


def odds_for(wanted: Floats, n: int) -> tuple[Floats, Floats]:
    """Odds under which inclusion probabilities are those wanted, to about 1e-7, and what they are under these odds.

    Args:
        wanted: (N,) float64 in (0, 1), with sum n.
        n: Size of the sample.

    References:
        Chen, Dempster, Liu, "Weighted finite population sampling to maximize entropy" (1994): the step that always
        converges. Where the sample is large, adding the difference of logits is much faster.
    """
    aim = wanted / (1 - wanted)
    odds = _scaled(aim, n)
    found, error = _error(odds, wanted, n)
    for _ in range(_MOST_ROUNDS):
        if error < _TOLERANCE or n == len(wanted):
            break
        faster = _scaled(odds * aim * (1 - found) / found, n)
        found_faster, smaller = _error(faster, wanted, n)
        if smaller < error / 2:
            odds, found, error = faster, found_faster, smaller
        else:
            odds = _scaled(odds * wanted / found, n)
            found, error = _error(odds, wanted, n)
    return odds, found


def _error(odds: Floats, wanted: Floats, n: int) -> tuple[Floats, float]:
    found = inclusion_of(odds, n)
    return found, float(np.abs(found / wanted - 1).max())


def _scaled(odds: Floats, n: int) -> Floats:
    """The same odds times a number, so that independent draws would give n on average."""
    if n >= len(odds):
        return odds
    low, high = -700 - np.log(odds.max()), 700 - np.log(odds.min())
    for _ in range(45):  # to 1e-10, and nothing depends on it but numerical comfort
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + np.log(odds)).sum() < n else (low, middle)
    return np.asarray(odds * np.exp(low))


def _reject_until(odds: Floats, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Independent draws, again and again until there are n: one in sqrt(2 pi n) is."""
    if n == len(odds):
        return np.ones(n, np.bool_)
    p = odds / (1 + odds)
    while True:
        drawn = rng.random(len(p)) < p
        if int(drawn.sum()) == n:
            return np.asarray(drawn)
