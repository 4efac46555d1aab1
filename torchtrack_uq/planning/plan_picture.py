"""A picture of wrong links and doubts against frame interval, one line a density."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from torchtrack_uq.planning.plan_table import Plan

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
"""Of Okabe & Ito, told apart without colour vision."""
_MARKERS = "os^Dv<>"
_LINEAR = 1.0  # per cent
_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)
_PANELS = (
    ("wrong", "wrong links (%)"),
    ("doubtful", "links below 90 % (%)"),
    ("expected", "expected wrong (%)"),
)


def draw_plan(plan: Plan) -> Figure:
    """Draw a plan: shares in per cent with bars of one standard error, the aim as a line.

    Args:
        plan: Of `make_plan`.

    Returns:
        A figure; `figure.savefig(file)` writes it.
    """
    figure = Figure(figsize=(12, 4), facecolor="white", dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    times = sorted({float(t) for t in plan.table["interval"]})
    panels = figure.subplots(1, len(_PANELS), sharex=True)
    for axes, (name, label) in zip(panels, _PANELS, strict=True):
        _draw_lines(axes, plan, name)
        axes.set_xscale("log")
        axes.set_xticks(times, labels=[f"{t:g}" for t in times])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yscale(
            "symlog", linthresh=_LINEAR
        )  # a share of 1 % matters as one of 50 % does, and 0 must have a place
        axes.set_yticks(_TICKS, labels=[f"{share:g}" for share in _TICKS])
        axes.set_xlabel(f"image every ... {plan.time_unit}")
        axes.set_ylabel(label)
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.2)
    panels[0].axhline(100 * plan.aim, color="#444444", linestyle="--", linewidth=1)
    panels[0].annotate(
        f"aim {100 * plan.aim:g} %", (0.02, 100 * plan.aim), xycoords=("axes fraction", "data"), va="bottom"
    )
    panels[1].legend(title=f"cells per {plan.per}", frameon=False)
    return figure


def _draw_lines(axes: Axes, plan: Plan, name: str) -> None:
    for k, density in enumerate(plan.densities):
        rows = plan.table[np.isclose(plan.table["density"], density)].sort_values("interval")
        axes.errorbar(
            rows["interval"].to_numpy(),
            100 * rows[name].to_numpy(),
            100 * rows[f"{name}_se"].to_numpy(),
            color=_COLOURS[k % len(_COLOURS)],
            marker=_MARKERS[k % len(_MARKERS)],
            capsize=2,
            label=f"{density:.3g}",
        )
