"""How often it is right when it says 90 %: annotated decisions by the probability that they were given."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from torchtrack_uq.guarantees.acceptance import ReviewStatistic
from torchtrack_uq.guarantees.risk import THRESHOLDS
from torchtrack_uq.metrics.share_interval import share_interval
from torchtrack_uq.results.report.markup import Markup, element

_EDGES = (0, 15, 26, 35, 50, 65, 85, 100, 150, len(THRESHOLDS))
"""Steps of `THRESHOLDS` at (about) 0, 50, 70, 80, 90, 95, 98, 99, 99.9 and 100 %."""
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 480.0, 26.0, 118.0, 70.0, 26.0


@dataclass(frozen=True)
class ReliabilityBin:
    """Decisions of about the same probability.

    Attributes:
        lowest: Smallest probability in it.
        highest: Largest.
        said: Mean probability of its decisions.
        n: How many.
        right: How many of these are right.
        low: Lower end of the 95 % interval of the share that is right.
        high: Upper end.
    """

    lowest: float
    highest: float
    said: float
    n: int
    right: int
    low: float
    high: float


def reliability_bins(statistic: ReviewStatistic) -> list[ReliabilityBin]:
    """Bins that hold decisions, links and "no mother" together, the least sure first.

    Means are of the middles of the statistic's steps, each 4.5 % of 1 - p wide.

    >>> statistic = ReviewStatistic.of(np.full(200, 0.92), np.arange(200) < 180)
    >>> [(round(one.lowest, 2), round(one.highest, 2), one.n, one.right) for one in reliability_bins(statistic)]
    [(0.9, 0.95, 200, 180)]
    """
    decisions, wrong = statistic.decisions.sum(axis=0), statistic.wrong.sum(axis=0)
    upper = np.append(THRESHOLDS[1:], 1.0)
    middle = (THRESHOLDS + upper) / 2
    found = []
    for first, end in pairwise(_EDGES):
        n, bad = int(decisions[first:end].sum()), int(wrong[first:end].sum())
        if n:
            said = float((decisions[first:end] * middle[first:end]).sum() / n)
            low, high = share_interval([n - bad], [n])
            lowest, highest = float(THRESHOLDS[first]), float(upper[end - 1])
            found.append(ReliabilityBin(lowest, highest, said, n, n - bad, float(low[0]), float(high[0])))
    return found


def reliability_table(bins: list[ReliabilityBin]) -> Markup:
    """The numbers as a table."""
    head = ("it says", "on average", "it is right", "95 % interval", "decisions")
    rows = [
        element(
            "tr",
            None,
            element("th", {"scope": "row"}, _range(one)),
            *(
                element("td", None, said)
                for said in (
                    _share(one.said),
                    _share(one.right / one.n),
                    f"{_share(one.low)} to {_share(one.high)}",
                    f"{one.n}",
                )
            ),
        )
        for one in bins
    ]
    titles = element("tr", None, *(element("th", {"scope": "col"}, name) for name in head))
    return element(
        "table", {"class": "numbers"}, element("thead", None, titles), element("tbody", None, *rows)
    )


def reliability_chart(bins: list[ReliabilityBin]) -> Markup:
    """An SVG with a row a bin: an upright stroke at what it says, a dot with its interval at what was right."""
    bottom = _TOP + _ROW * len(bins)

    def x(p: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * p

    parts = [
        element("text", {"x": 4, "y": 15.0, "class": "title"}, "| said   ● right, with its 95 % interval")
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            element("line", {"x1": x(tick), "x2": x(tick), "y1": _TOP, "y2": bottom, "class": "grid"}),
            element("text", {"x": x(tick), "y": bottom + 16, "text-anchor": "middle"}, f"{100 * tick:.0f} %"),
        ]
    for k, one in enumerate(bins):
        y = _TOP + _ROW * (k + 0.5)
        parts += [
            element("text", {"x": _LEFT - 8, "y": y + 4, "text-anchor": "end"}, _range(one)),
            element("line", {"x1": x(one.low), "x2": x(one.high), "y1": y, "y2": y, "class": "steps"}),
            element(
                "line", {"x1": x(one.said), "x2": x(one.said), "y1": y - 9, "y2": y + 9, "class": "said"}
            ),
            element("circle", {"cx": x(one.right / one.n), "cy": y, "r": 4, "class": "dot"}),
            element("text", {"x": x(1) + 10, "y": y + 4}, f"of {one.n}"),
        ]
    said = "; ".join(f"says {_range(one)}, right {_share(one.right / one.n)} of {one.n}" for one in bins)
    box = f"0 0 {_WIDTH:g} {bottom + 24:g}"
    return element("svg", {"viewBox": box, "class": "chart", "role": "img", "aria-label": said}, *parts)


def _range(one: ReliabilityBin) -> str:
    low, high = (100 * p if p > 0.995 else round(100 * p) for p in (one.lowest, one.highest))
    return f"{low:.3g} to {high:.3g} %"


def _share(p: float) -> str:
    return f"{100 * p:.1f} %" if p < 0.9995 else f"{100 * p:.3g} %"
