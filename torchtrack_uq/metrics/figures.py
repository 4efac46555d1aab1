"""Pictures of calibration: does "80 % sure" mean right 80 % of the time, and do doubts find the errors?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.calibration_error import binned_error, calibration_bins
from torchtrack_uq.functional.sparsification import SparsificationCurve, selective_areas, sparsification_curve
from torchtrack_uq.metrics.daughters import uncertainty_of
from torchtrack_uq.metrics.share_interval import share_interval
from torchtrack_uq.truth.judged import JudgedDaughters, JudgedEvents

_INK, _GREY, _PALE = "#222222", "#8a8a8a", "#e6e6e6"
_COLOURS = ("#0b6fa4", "#c2410c", "#3f7d20", "#7b3fa0", "#b58900", "#555555")
_SIDES = ("more often right\nthan it says", "overconfident")
_MOST_PANELS = 4
_FEW = 10  # decisions in a bin below which its dot is pale

Judged = JudgedDaughters | JudgedEvents
Floats = NDArray[np.float64]


def draw_reliability(judged: Judged | Mapping[str, Judged], n_bins: int = 15) -> Figure:
    """Reliability diagram: how often decisions were right, against how sure the tracker was.

    One panel for each entry, such as before and after temperature scaling. A dot is a bin: its mean probability
    and the share that was right, with a 95 % interval (Wilson 1927; neighbouring cells being alike, somewhat too
    short), pale where it holds fewer than 10 decisions. Dots below the diagonal are overconfident. The histogram
    below says how many decisions each bin holds, on a logarithmic scale.

    Args:
        judged: Daughters or events, or several by title.
        n_bins: Number of bins, as of the ECE in the title.

    Returns:
        A figure; `figure.savefig(file)` writes it.

    Raises:
        InputError: Nothing to draw, more than four panels, or n_bins below 1.

    >>> from torchtrack_uq.metrics import example_daughters
    >>> len(draw_reliability({"before": example_daughters(), "after": example_daughters()}).axes)
    4
    """
    panels = _by_name(judged)
    if len(panels) > _MOST_PANELS:
        raise InputError(f"{len(panels)} panels are too many for one figure; give at most {_MOST_PANELS}")
    figure = _figure(3.9 * len(panels) + 0.9, 5.6)
    grid = figure.add_gridspec(2, len(panels), height_ratios=[3.4, 1])
    first: Axes | None = None
    for k, (name, item) in enumerate(panels.items()):
        upper = figure.add_subplot(grid[0, k], sharey=first)
        lower = figure.add_subplot(grid[1, k], sharex=upper, sharey=figure.axes[1] if k else None)
        first = first or upper
        _draw_bins(upper, lower, item, name, n_bins)
        if k:
            upper.tick_params(labelleft=False)
            lower.tick_params(labelleft=False)
        else:
            events = isinstance(item, JudgedEvents)
            upper.set_ylabel("how often it happened" if events else "how often the tracker was right")
            lower.set_ylabel("events" if events else "cells")
    return figure


def draw_sparsification(
    judged: JudgedDaughters | Mapping[str, JudgedDaughters], by: str = "confidence"
) -> Figure:
    """Sparsification plot: accuracy of the links that are left when the most uncertain ones are set aside.

    Each solid curve is a method; the dotted one of its colour is an oracle that sets aside the wrong links first,
    and the area between them the AUSE. A method whose doubts say nothing stays level.

    Args:
        judged: Daughters, or those of up to six methods by name.
        by: "confidence" or "entropy".

    Returns:
        A figure; `figure.savefig(file)` writes it.

    Raises:
        InputError: Nothing to draw, more than six methods, or another uncertainty.

    >>> from torchtrack_uq.metrics import example_daughters
    >>> draw_sparsification({"SM": example_daughters()}).axes[0].get_xlabel()
    'share of most uncertain links set aside (least confidence first)'
    """
    methods = _by_name(judged)
    if len(methods) > len(_COLOURS):
        raise InputError(f"{len(methods)} methods are too many for one figure; give at most {len(_COLOURS)}")
    figure = _figure(7.4, 5.0 + 0.25 * len(methods))
    axes = figure.add_subplot()
    lowest = 1.0
    for colour, (name, item) in zip(_COLOURS, methods.items(), strict=False):
        uncertainty = uncertainty_of(item, by)
        curve = sparsification_curve(uncertainty, item.correct)
        areas = selective_areas(uncertainty, item.correct)
        removed, accuracy, oracle = _thinned(curve)
        label = f"AURC {float(areas.aurc):.2g}, AUSE {float(areas.ause):.2g}"
        label = f"{name}: {label}" if name else label
        axes.plot(removed, accuracy, color=colour, linewidth=2.2, label=label)
        axes.plot(removed, oracle, color=colour, linewidth=1.3, linestyle=":")
        lowest = min(lowest, float(accuracy[removed <= 0.95].min()), float(accuracy[0]))
    axes.plot([], [], color=_GREY, linewidth=1.3, linestyle=":", label="oracle: wrong links first")
    room = max(1 - lowest, 1e-3)
    axes.set(xlim=(0, 1), ylim=(max(lowest - 0.15 * room, 0), 1 + 0.05 * room))
    first = "least confidence first" if by == "confidence" else "highest entropy first"
    axes.set_xlabel(f"share of most uncertain links set aside ({first})")
    axes.set_ylabel("share of the other links that are right")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))
    figure.legend(loc="outside lower center", frameon=False)
    _plain(axes)
    return figure


def _by_name(judged: Any) -> dict[str, Any]:
    panels = dict(judged) if isinstance(judged, Mapping) else {"": judged}
    if not panels:
        raise InputError("there is nothing to draw: give judged daughters, or several by name")
    for name, item in panels.items():
        if not len(_decisions(item)[1]):
            raise InputError(f"there is nothing to draw{f' for {name}' if name else ''}: no truth is known")
    return panels


def _decisions(item: Judged) -> tuple[Tensor, Tensor]:
    if isinstance(item, JudgedEvents):
        return item.probability, item.happened
    return item.confidence.detach(), item.correct


def _draw_bins(upper: Axes, lower: Axes, item: Judged, name: str, n_bins: int) -> None:
    bins = calibration_bins(*_decisions(item), n_bins)
    n, mean, right = (values.cpu().numpy() for values in bins)
    filled = n > 0
    confidence, share = mean[filled] / n[filled], right[filled] / n[filled]
    low, high = share_interval(right[filled], n[filled])
    upper.plot([0, 1], [0, 1], color=_GREY, linewidth=1.2, linestyle="--", zorder=1)
    upper.text(0.06, 0.11, "perfect", color=_GREY, rotation=45, rotation_mode="anchor", fontsize=9)
    few = n[filled] < _FEW
    for chosen, colour in ((few, "#9cc4da"), (~few, _COLOURS[0])):
        upper.vlines(confidence[chosen], low[chosen], high[chosen], color=colour, linewidth=1.6, zorder=2)
        upper.plot(confidence[chosen], share[chosen], "o", color=colour, markersize=6.5, zorder=3)
    events = isinstance(item, JudgedEvents)
    above, below = ("more often than\nit says", "less often than\nit says") if events else _SIDES
    upper.text(0.03, 0.97, above, va="top", color=_GREY, fontsize=9)
    upper.text(0.97, 0.03, below, ha="right", color=_GREY, fontsize=9)
    error = f"ECE {float(binned_error(bins)):.3f}"
    upper.set_title(f"{name}\n{error}" if name else error, fontsize=11, color=_INK)
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    upper.tick_params(labelbottom=False)
    upper.yaxis.set_major_formatter(PercentFormatter(1.0))
    edges = np.linspace(0, 1, n_bins + 1)
    lower.bar(edges[:-1], n, width=1 / n_bins, align="edge", color=_COLOURS[0], edgecolor="white")
    lower.set_yscale("log")
    lower.set_ylim(0.7, max(lower.get_ylim()[1], 2 * float(n.max())))
    lower.yaxis.set_major_locator(LogLocator(base=10, numticks=4))
    lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    lower.yaxis.set_minor_locator(NullLocator())
    lower.xaxis.set_major_formatter(PercentFormatter(1.0))
    lower.set_xlabel("probability of the event" if events else "how sure the tracker was")
    _plain(upper)
    _plain(lower)


def _thinned(curve: SparsificationCurve, most: int = 2000) -> tuple[Floats, Floats, Floats]:
    """At most so many points of each curve: more than a screen shows."""
    n = len(curve.removed)
    keep = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
    removed, accuracy, oracle = (values.cpu().numpy()[keep] for values in curve)
    return removed, accuracy, oracle


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10, colors=_INK)
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
