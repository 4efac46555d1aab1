"""The study's figures, like figure 2 of the paper, on a light and on a dark ground."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from common.results import write_csv
from study.tables import DIGITS, by_recording, mean_and_error
from study.units import ALL, FITTED, METHODS, STRIDES, TRACKERS
from torchtrack_uq.utils.files import write_atomically

MEANING = {
    "SM": "SM: each cell picks its mother alone",
    "FP": "FP: the same, measurements blurred by noise",
    "FP+A": "FP+A: how often a link survives noise",
    "AS": "AS: the 100 best assignments of a frame",
    "auto": "auto: all assignments, exact where possible",
    FITTED: "auto + events: the same, event scores fitted too",
}
KEPT_STRIDES = (1, 2, 4, 8)
MOST_REMOVED = 0.8
"""Beyond it a small movie keeps too few links for a mean."""


@dataclass(frozen=True)
class Style:
    """Colours of a figure."""

    name: str
    ground: str
    ink: str
    faint: str
    methods: dict[str, str]


STYLES = (
    Style("light", "#ffffff", "#222222", "#dddddd",
          dict(zip(ALL, ("#0072b2", "#56a9d8", "#d55e00", "#009e73", "#7b3fa0", "#c94f8c"), strict=True))),
    Style("dark", "#16181d", "#e8e8e8", "#3a3f48",
          dict(zip(ALL, ("#4ea3dd", "#a6d4f2", "#ff8f4a", "#3ecf9f", "#c79bea", "#f58cc0"), strict=True))),
)  # fmt: skip


def draw_all(tables: dict[str, pd.DataFrame], pages: Path) -> None:
    """Write figure_2a and figure_2b, light and dark, to `images`, and the means that they show to `data`."""
    table = tables["study"][tables["study"]["method"].isin(ALL)]
    means = mean_and_error(table, "ece", ["tracker", "method", "ts", "stride"])
    gains = _gains(tables)
    for name, content in (("figure_2a", means), ("figure_2b", gains)):
        write_csv(pages / "data" / f"{name}.csv", content, DIGITS)
    for style in STYLES:
        for name, figure in (
            ("figure_2a", calibration_figure(means, style)),
            ("figure_2b", gain_figure(gains, style)),
        ):
            picture = io.BytesIO()
            figure.savefig(
                picture, format="png", dpi=130, facecolor=style.ground, metadata={"Software": None}
            )
            write_atomically(pages / "images" / f"{name}_{style.name}.png", picture.getvalue())


def calibration_figure(means: pd.DataFrame, style: Style) -> Figure:
    """Mean ECE and standard error over recordings against temporal resolution."""
    trackers = [name for name in TRACKERS if name in set(means["tracker"])]
    states = {
        "in time": "T fitted on every other block\nof the same movie",
        "other movies": "T fitted on\nother movies",
    }
    figure, axes = _panels(len(states), trackers, style)
    for row, (ts, title) in zip(axes, states.items(), strict=True):
        for panel, tracker in zip(row, trackers, strict=True):
            for shift, method in enumerate(ALL):
                for state, dashes in (("none", (3, 2)), (ts, (None, None))):
                    if method == FITTED and state == "none":
                        continue  # auto's
                    part = means[
                        (means["tracker"] == tracker) & (means["method"] == method) & (means["ts"] == state)
                    ]
                    panel.errorbar(
                        part["stride"] * 2 ** ((shift - 2) * 0.05), part["mean"], part["se"].fillna(0),
                        color=style.methods[method], linewidth=1.8, dashes=dashes, marker="o", markersize=3.2,
                        capsize=0, elinewidth=1.0, alpha=0.95 if state == ts else 0.65,
                    )  # fmt: skip
            panel.set_xscale("log", base=2)
            panel.xaxis.set_major_locator(FixedLocator(STRIDES))
            panel.xaxis.set_minor_locator(NullLocator())
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(FixedLocator([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]))
            panel.yaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        lowest = max(means["mean"].min() / 1.5, 1e-3)
        row[0].set_ylim(lowest, min(means["mean"].max() * 2, 1))
        row[0].set_ylabel(f"{title}\n\ncalibration error (ECE)", color=style.ink)
    for panel in axes[-1]:
        panel.set_xlabel("every n-th frame", color=style.ink)
    figure.suptitle(
        "How far is “80 % sure” from right 80 % of the time? Mean and standard error over movies; lower is better",
        color=style.ink, fontsize=12.5, x=0.01, ha="left",
    )  # fmt: skip
    _legend(figure, style, ALL, {"solid": "with temperature scaling", "dashed": "without"})
    return figure


def gain_figure(gains: pd.DataFrame, style: Style) -> Figure:
    """Accuracy gained when only the most certain share of links is kept."""
    trackers = [name for name in TRACKERS if name in set(gains["tracker"])]
    states = {"none": "without\ntemperature scaling", "in time": "with\ntemperature scaling"}
    figure, axes = _panels(len(states), trackers, style, sharey="none")
    for row, (ts, title) in zip(axes, states.items(), strict=True):
        for panel, tracker in zip(row, trackers, strict=True):
            chosen = gains[(gains["tracker"] == tracker) & (gains["ts"] == ts)]
            for method in METHODS:
                for by, dashes in (("confidence", (3, 2)), ("entropy", (None, None))):
                    part = chosen[(chosen["method"] == method) & (chosen["by"] == by)]
                    panel.plot(
                        100 * (1 - part["removed"]), 100 * part["gain"],
                        color=style.methods[method], linewidth=1.8, dashes=dashes,
                    )  # fmt: skip
            panel.set_xlim(100, 20)
            panel.axhline(0, color=style.faint, linewidth=1.2)
        row[0].set_ylabel(f"{title}\n\naccuracy gained (points)", color=style.ink)
    for panel in axes[-1]:
        panel.set_xlabel("share of links kept, surest first (%)", color=style.ink)
    figure.suptitle(
        "Set the doubtful links aside: how much more often are the others right? "
        f"Mean over movies and strides {', '.join(map(str, KEPT_STRIDES))}",
        color=style.ink, fontsize=12.5, x=0.01, ha="left",
    )  # fmt: skip
    _legend(figure, style, METHODS, {"solid": "doubt measured by entropy", "dashed": "by confidence"})
    return figure


def _gains(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean accuracy gain over recordings and strides, one row a tracker, method, TS, uncertainty and share."""
    curves = tables["sparsification"]
    curves = curves[curves["method"].isin(METHODS) & curves["stride"].isin(KEPT_STRIDES)]
    recordings = tables["study"][["movie", "recording"]].drop_duplicates()
    shares = [str(name) for name in curves if str(name).startswith("0.")]
    curves = curves.merge(recordings, on="movie").assign(error="")
    parts = []
    for by, part in curves.groupby("by"):
        mean = by_recording(part, shares).groupby(["tracker", "method", "ts"])[shares].mean()
        gain = mean.sub(mean[shares[0]], axis=0).reset_index()
        long = gain.melt(["tracker", "method", "ts"], shares, "removed", "gain")
        parts.append(long.dropna().assign(by=by))
    found = pd.concat(parts, ignore_index=True)
    found["removed"] = found["removed"].astype(float)
    columns = ["tracker", "method", "ts", "by", "removed", "gain"]
    order = ["by", "tracker", "method", "ts", "removed"]
    return found.loc[found["removed"] <= MOST_REMOVED, columns].sort_values(order)


def _panels(
    n_rows: int, trackers: list[str], style: Style, sharey: Literal["row", "none"] = "row"
) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(max(3.1 * len(trackers) + 1.2, 11.5), 3.0 * n_rows + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(n_rows, len(trackers), sharex=True, sharey=sharey, squeeze=False)
    for k, row in enumerate(grid):
        for panel, tracker in zip(row, trackers, strict=True):
            panel.set_facecolor(style.ground)
            panel.grid(color=style.faint, linewidth=0.7)
            panel.tick_params(colors=style.ink, length=0)
            for side, spine in panel.spines.items():
                spine.set_visible(side in ("left", "bottom"))
                spine.set_color(style.faint)
            if k == 0:
                panel.set_title(tracker, color=style.ink, fontsize=12)
    return figure, [list(row) for row in grid]


def _legend(figure: Figure, style: Style, methods: tuple[str, ...], lines: dict[str, str]) -> None:
    handles = [
        Line2D([], [], color=style.methods[name], linewidth=2.5, label=MEANING[name]) for name in methods
    ]
    handles += [
        Line2D(
            [],
            [],
            color=style.ink,
            linewidth=1.8,
            linestyle="-" if kind == "solid" else (0, (3, 2)),
            label=text,
        )
        for kind, text in lines.items()
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False, labelcolor=style.ink, fontsize=10
    )
