"""The page of what to expect on imperfect masks."""

import pandas as pd

from experiments.imperfect.judge import FITTED, FITTED_AT
from experiments.imperfect.units import AUTOMATIC, JUDGED_GAP

NUMBERS = ["accuracy", "accuracy_after_gap", "nll", "ece", "ece_missed", "ece_false"]


def page(table: pd.DataFrame) -> list[str]:
    """Markdown of the table of all rows: means over movies first, then every movie at one rate."""
    table = table.copy()
    table["errors"] = table["errors"].map(
        lambda rate: rate if rate == AUTOMATIC else f"{100 * float(rate):g} %"
    )
    table["how"] = table["method"] + ", gap " + table["max_gap"].astype(str)
    return [
        "# What to expect on imperfect masks",
        "",
        "Written by `python -m experiments.imperfect`. The masks of the annotated movies lose a share of their cells "
        "at random; a fifth of it each is merged, split and made up (movies of points: missed and made up only). "
        f"*{AUTOMATIC}*: Otsu's threshold and a watershed, see [automatic_masks.md](automatic_masks.md). The truth of "
        f"a daughter is her nearest detected ancestor at most {JUDGED_GAP} frames back, also for methods whose links "
        "span one frame (gap 1): what they cannot find counts against them. SM, AS and auto are as they come, at T = 1 "
        "and with the tracker's own event scores. "
        + (
            f"*{FITTED}* was fitted on other recordings with {FITTED_AT:.0%} missing. "
            if (table["method"] == FITTED).any()
            else ""
        ),
        "Means over movies; NLL with probabilities floored at 1e-6. These are the scores that `--temperature 1` gives; "
        "what the defaults do, which fit what a movie looks like, is in [movie_prior.md](movie_prior.md), for every "
        "tracker and stride.",
        "",
        *(line for stride in sorted(table["stride"].unique()) for line in _means(table, int(stride))),
        "## Every movie: 5 % missed, and none",
        "",
        "By auto, links over gaps against those over one frame.",
        "",
        *_movies(table),
    ]


def _means(table: pd.DataFrame, stride: int) -> list[str]:
    part = table[table["stride"] == stride]
    means = part.groupby(["tracker", "errors", "how"], sort=False)[NUMBERS].mean().reset_index()
    return [f"## Stride {stride}", "", means.to_markdown(index=False, floatfmt=".3f"), ""]


def _movies(table: pd.DataFrame) -> list[str]:
    part = table[table["errors"].isin(["0 %", "5 %"]) & table["method"].isin(["auto", FITTED])]
    wide = part.pivot_table(
        index=["tracker", "movie", "stride", "errors"],
        columns="how",
        values=["accuracy", "nll", "ece"],
        sort=False,
    )
    wide.columns = [f"{column[0]}: {column[1]}" for column in wide.columns]
    return [wide.reset_index().to_markdown(index=False, floatfmt=".3f"), ""]
