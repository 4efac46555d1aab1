"""A picture of what is counted of lineages over time, with bands for what the links leave open."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from torchtrack_uq.results.lineage_statistics import LineageStatistics

_COLOURS = {
    "cells": "#444444",
    "lineages": "#0072b2",
    "births": "#009e73",
    "deaths": "#d55e00",
    "divisions": "#cc79a7",
}
"""Of Okabe & Ito, told apart without colour vision."""
_STYLES = {"cells": ":", "lineages": "-", "births": "--", "deaths": "-.", "divisions": "-"}


def draw_lineages(statistics: LineageStatistics, interval: float | None = None) -> Figure:
    """Draw counts and division rate over time, mean and credible band of each.

    Args:
        statistics: Of a movie.
        interval: Seconds between frames; None draws frames.

    Returns:
        A figure; `figure.savefig(file)` writes it.
    """
    figure = Figure(figsize=(10, 8), facecolor="white", dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    counts, events, rate = figure.subplots(3, 1, sharex=True)
    scale = 1.0 if interval is None else interval / 3600
    for axes, names in ((counts, ("cells", "lineages")), (events, ("births", "deaths", "divisions"))):
        for name in names:
            _draw_band(axes, statistics, name, scale)
        axes.set_ylabel("number in the frame")
        axes.legend(loc="upper left", frameon=False)
        axes.set_ylim(bottom=0)
    _draw_band(rate, statistics, "division_rate", scale)
    rate.set_ylabel("divisions a cell and frame")
    rate.set_ylim(bottom=0)
    rate.set_xlabel("frame" if interval is None else "hours")
    counts.set_title(f"mean of the drawn histories; bands hold {statistics.level:.0%} of them")
    return figure


def _draw_band(axes: Axes, statistics: LineageStatistics, name: str, scale: float) -> None:
    table = statistics.table
    rows = table[(table["quantity"] == name) & table["frame"].notna()]
    time = rows["frame"].to_numpy(np.float64) * scale
    colour = _COLOURS.get(name, _COLOURS["divisions"])
    axes.fill_between(time, rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
    axes.plot(time, rows["mean"], color=colour, linestyle=_STYLES.get(name, "-"), label=name)
