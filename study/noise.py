"""Is a change more than noise? Paired changes per frame pair, an interval that is honest with few, Holm over many.

Daughters of a frame pair stand or fall together, so frame pairs are what is counted. The mean change d over n
daughters in F frame pairs (sums S_f, counts n_f) has the cluster-robust variance of Bell and McCaffrey (Survey
Methodology 28, 2002), CR2, and a Student t with their degrees of freedom:

    d = sum S_f / n,    e_f = S_f / n_f - d,    w_f = n_f / n,    var d = sum w_f^2 e_f^2 / (1 - w_f)

For frame pairs of equal size this is the paired t test over frame pairs, F - 1 degrees of freedom; unequal ones have
fewer. A bootstrap over three frame pairs, by contrast, can draw only ten different samples, and its intervals are far
too short. Neighbouring frame pairs may err together, which none of this knows: intervals are if anything too narrow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A mean change with its noise.

    Attributes:
        value: Mean over daughters.
        lower: Of the 95 % interval; NaN with a single frame pair, as is the upper end.
        upper: The other end.
        p_worse: One-sided p-value of "no rise"; at most 0.025 exactly where the interval is above 0.
    """

    value: float
    lower: float
    upper: float
    p_worse: float


def mean_change(total: Floats, count: Floats, level: float = 0.95) -> Change:
    """Mean change per daughter, from sums and counts per frame pair.

    Args:
        total: (F,) sum of the changes in each frame pair.
        count: (F,) its daughters; frame pairs without any are left out.
        level: Of the interval.

    >>> found = mean_change(np.array([1.0, 2.0, 3.0]), np.ones(3))
    >>> round(found.value, 3), round(found.lower, 3), round(found.p_worse, 4)  # scipy.stats.ttest_1samp
    (2.0, -0.484, 0.0371)
    """
    total, count = np.asarray(total, float)[np.asarray(count) > 0], np.asarray(count, float)
    count = count[count > 0]
    if not len(count):
        return Change(*[float("nan")] * 4)
    value = float(total.sum() / count.sum())
    if len(count) < 2:
        return Change(value, float("nan"), float("nan"), float("nan"))
    w = count / count.sum()
    weight = w**2 / (1 - w)
    error = float(np.sqrt((weight * (total / count - value) ** 2).sum()))
    if error == 0:
        return Change(value, value, value, 0.0 if value > 0 else 1.0)
    # the variance estimate is a quadratic form in daughters of equal variance: Satterthwaite's match of its moments
    form = weight[:, None] * (np.diag(1 / w) - 1.0)
    df = float(np.trace(form) ** 2 / (form * form.T).sum())
    half = float(student.ppf((1 + level) / 2, df)) * error
    return Change(value, value - half, value + half, float(student.sf(value / error, df)))


def holm(p: Floats, level: float = 0.05) -> NDArray[np.bool_]:
    """Which hypotheses fall when the chance of a single false rejection is to be at most `level` (Holm 1979).

    NaN counts as a comparison that was made and cannot be rejected.

    >>> holm(np.array([0.001, 0.02, 0.04, float("nan")])).tolist()
    [True, False, False, False]
    """
    p = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(p, kind="stable")
    passed = np.cumprod(p[order] <= level / (len(p) - np.arange(len(p)))).astype(bool)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = passed
    return rejected
