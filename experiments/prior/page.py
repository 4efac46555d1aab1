"""The page on priors: means over movies left out, and each movie."""

import pandas as pd

from benchmarks.machine import describe_machine
from experiments.prior.units import MOST_CELLS

METRICS = ["nll", "ece", "accuracy"]
_INTRODUCTION = f"""
A prior over log T and the scores of appearing, disappearing, dividing and being missed, learned from movies of other
kinds (every kind in turn left out; frame rates of one recording and embryos of one species are one kind) and fitted to
what the movie looks like without annotation. `AS, T = 1` and `auto, T = 1`: the tracker's own event scores, as before.
Rate: share of missed cells; a fifth of it each of merged, split and made-up ones. Movies with up to {MOST_CELLS}
cells around their middle. The Transformer is judged only on recordings that it was not trained on. Its model knows
events, so the constant is drawn to its own scores, and what a look changes to the distance tracker's. Drawn to no other
tracker it was worse in the mean (with weights before these: NLL .187 for .153 as annotated, .304 for .270 with errors),
as with both from the distance tracker (.171, .309). Transformer 3D is small_3d on embryos, drawn to its own scores
alone. Every movie and stride counts the same. Written by `python -m experiments.prior --few`; single movies are in
`movie_prior.csv`.
"""


def page(table: pd.DataFrame, detections: pd.DataFrame) -> list[str]:
    """Lines of Markdown.

    Args:
        table: Rows of `judge_item`.
        detections: Rows of `judge_detections_of`.
    """
    whole = table[~table["how"].str.startswith("second half")]
    half = table[table["how"].str.startswith("second half")]
    lines = [
        "# What movies say of temperature and event scores that were never annotated",
        "",
        " ".join(_INTRODUCTION.split()),
        "",
        describe_machine(),
        "",
        "## Without annotation",
        "",
        _means(whole, ["tracker", "max_gap", "rate", "how"]),
        "",
        "### By stride",
        "",
        _means(whole, ["tracker", "max_gap", "rate", "stride", "how"]),
        "",
    ]
    if len(half):
        half = half.assign(how=half["how"].str.removeprefix("second half: "))
        per_movie = half.groupby(
            ["tracker", "max_gap", "rate", "stride", "movie", "how"], sort=False, as_index=False
        )[METRICS].mean()
        lines += [
            "## With few annotated daughters",
            "",
            "Drawn from the first half of the frames, at random or as `torchtrack-uq sample` asks for them; judged "
            "on the second half.",
            "",
            _means(per_movie, ["tracker", "rate", "how"]),
            "",
            "### By stride",
            "",
            _means(per_movie, ["tracker", "rate", "stride", "how"]),
            "",
        ]
    return [
        *lines,
        "## After a miss, and detections in doubt",
        "",
        "Masks with errors, links up to two frames. `accuracy_after_gap`: of the daughters whose mother was missed in "
        "the frame before, over all movies (`n_after_gap`); calibration errors of being missed and of being made up: "
        "means over movies.",
        "",
        _doubts(detections, ["tracker", "stride", "how"]),
        "",
        "Without mouse-epidermis:",
        "",
        _doubts(detections[detections["movie"] != "mouse-epidermis"], ["tracker", "how"]),
        "",
        "## Movies that it harms",
        "",
        _harmed(whole),
        "",
    ]


def _doubts(table: pd.DataFrame, keys: list[str]) -> str:
    right = table.assign(right=table["accuracy_after_gap"].fillna(0) * table["n_after_gap"])
    groups = right.groupby(keys, sort=False)
    sums = groups[["right", "n_after_gap"]].sum()
    means = groups[["ece_missed", "ece_false"]].mean()
    shown = means.assign(
        accuracy_after_gap=sums["right"] / sums["n_after_gap"],
        n_after_gap=sums["n_after_gap"],
        movies=groups.size(),
    )
    found: str = shown.reset_index().to_markdown(index=False, floatfmt=".4f")
    return found


def _means(table: pd.DataFrame, keys: list[str]) -> str:
    means = table.groupby(keys, sort=False)[METRICS].mean()
    means["movies"] = table.groupby(keys, sort=False).size()
    found: str = means.reset_index().to_markdown(index=False, floatfmt=".4f")
    return found


def _harmed(table: pd.DataFrame) -> str:
    keys = ["tracker", "max_gap", "rate", "movie", "stride"]
    wide = table.pivot_table(index=keys, columns="how", values=["nll", "accuracy"])
    old, new = wide["nll"]["auto, T = 1"], wide["nll"]["auto, no annotation"]
    worse = wide[(new > 1.02 * old) & (new > old + 0.003)]
    flat = worse.set_axis([f"{metric}: {how}" for metric, how in worse.columns], axis=1).reset_index()
    share = f"{len(worse)} of {len(wide)} have a higher NLL than `auto` at T = 1, by more than 2 % and .003:"
    return f"{share}\n\n{flat.to_markdown(index=False, floatfmt='.4f')}"
