"""What the package does where nobody annotated, and with few annotated cells: tables of `experiments/prior`.

Every movie is judged with priors that were learned without movies of its kind. Unlike the study's own rows, links may
span two frames, and the truth is that of such links.
"""

from pathlib import Path

import pandas as pd

from common.data import CHECKOUT

MOST_CELLS = 1500  # experiments.prior.units.MOST_CELLS, which imports the study
TABLE = CHECKOUT / "experiments" / "results" / "movie_prior.csv"
OLD, METHOD, NOW = "AS, T = 1", "auto, T = 1", "auto, no annotation"
FEW = {
    OLD: "AS, T = 1", METHOD: "auto, T = 1", "no annotation": "no annotation", "30 at random": "30 at random",
    "30 by `sample`": "30 by sample", "100 at random": "100 at random",
}  # fmt: skip
_HALF = "second half: "
_MASKS = {0.0: "as annotated", 0.05: "5 % missed"}
_METRICS = {"nll": "NLL", "ece": "ECE", "accuracy": "accuracy"}
HALF_OF_OLD, OF_OLD_30, OF_OLD_100 = 0.5, 0.4, 0.33
POINTS, POINTS_BELOW = 0.015, 0.95
ECE_100 = {1: 0.02, 2: 0.02, 8: 0.05}
WORSE_BY, WORSE_SHARE, WORSE_POINTS = 0.003, 0.02, 0.01
"""What is worse: an NLL that is so many nats and such a share higher, or an accuracy that is so much lower."""


def tables_without_annotation(file: Path = TABLE) -> dict[str, pd.DataFrame]:
    """What the pages show, by name: `defaults`, `defaults_few`, `defaults_changed`, `defaults_worse`, `defaults_aims`.

    Args:
        file: Table of `python -m experiments.prior --few`.
    """
    table = pd.read_csv(file)
    half = table["how"].str.startswith(_HALF)
    few = table[half].assign(how=table.loc[half, "how"].str.removeprefix(_HALF))
    whole = table[~half]
    return {
        "defaults": _by_stride(whole[whole["max_gap"] == 2]),
        "defaults_few": _few(few),
        "defaults_changed": _changed(whole),
        "defaults_worse": _worse(whole),
        "defaults_aims": _aims(whole, few),
    }


def shown_without_annotation(found: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same, narrow enough for a page.

    Args:
        found: Of `tables_without_annotation`.
    """
    perfect, missed = (
        found["defaults"][found["defaults"]["masks"] == masks].set_index(["tracker", "stride"])
        for masks in _MASKS.values()
    )
    rows = pd.DataFrame({"movies": perfect["movies"]})
    for table, title, digits, of in (
        (perfect, "NLL", 3, ""), (perfect, "ECE", 3, ""), (perfect, "accuracy", 3, ""),
        (missed, "NLL", 3, ", 5 % missed"), (missed, "accuracy", 3, ", 5 % missed"),
    ):  # fmt: skip
        rows[title + of] = _in_one(table, [f"{title}: {how}" for how in (OLD, METHOD, NOW)], digits)
    few = found["defaults_few"]
    keys = few[["tracker", "masks", "stride", "movies"]]
    nll = few[[f"NLL: {how}" for how in FEW.values()]].rename(columns=lambda name: name.removeprefix("NLL: "))
    ends = ("AS, T = 1", "no annotation", "100 at random")
    ece, accuracy = (
        _in_one(few, [f"{title}: {how}" for how in ends], 3).rename(title) for title in ("ECE", "accuracy")
    )
    return {
        "defaults": rows.reset_index(),
        "defaults_few": pd.concat([keys, nll, ece, accuracy], axis=1),
        "defaults_changed": found["defaults_changed"],
        "defaults_worse": _worse_shown(found["defaults_worse"]),
        "defaults_aims": found["defaults_aims"],
    }


def _in_one(table: pd.DataFrame, columns: list[str], digits: int) -> "pd.Series[str]":
    """Several columns as one, with arrows between the numbers."""
    return table[columns].apply(lambda row: " → ".join(f"{value:.{digits}f}" for value in row), axis=1)


def _worse_shown(worse: pd.DataFrame) -> pd.DataFrame:
    """Against the old defaults, one row a tracker, movie and kind of masks."""
    rows = []
    for (tracker, movie, masks), part in worse[worse["worse than"] == OLD].groupby(
        ["tracker", "movie", "masks"], sort=False
    ):
        points = 100 * (part["accuracy now"] - part["accuracy before"]).min()
        times = (part["NLL now"] / part["NLL before"]).max()
        rows.append({
            "tracker": tracker, "movie": movie, "masks": masks,
            "NLL higher at stride": _strides(part[part["in"] != "accuracy"]),
            "accuracy lower at stride": _strides(part[part["in"] != "NLL"]),
            "worst: NLL": f"{times:.2f} of before", "worst: accuracy": f"{points:+.1f} points",
        })  # fmt: skip
    return pd.DataFrame(rows)


def _strides(part: pd.DataFrame) -> str:
    return ", ".join(map(str, part["stride"])) or "–"


def _wide(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """One row a movie, columns (metric, how)."""
    wide = table.pivot_table(index=keys, columns="how", values=list(_METRICS))
    return wide.sort_index()


def _by_stride(whole: pd.DataFrame) -> pd.DataFrame:
    """Means over movies by tracker, masks and stride; every metric before, with the method alone, and now."""
    wide = _wide(whole, ["tracker", "rate", "stride", "movie"])
    groups = wide.groupby(level=["tracker", "rate", "stride"])
    found = pd.DataFrame({"movies": groups.size()})
    for metric, title in _METRICS.items():
        for how in (OLD, METHOD, NOW):
            found[f"{title}: {how}"] = groups.mean()[metric, how]
    return _with_masks(found.reset_index())


def _few(few: pd.DataFrame) -> pd.DataFrame:
    """The same on the second half of the movies, with fits to cells of the first; only movies that have 100 of them."""
    wide = _wide(few, ["tracker", "rate", "stride", "movie"])
    groups = wide.dropna().groupby(level=["tracker", "rate", "stride"])
    found = pd.DataFrame({"movies": groups.size()})
    for metric, title in _METRICS.items():
        for how, name in FEW.items():
            found[f"{title}: {name}"] = groups.mean()[metric, how]
    return _with_masks(found.reset_index())


def _changed(whole: pd.DataFrame) -> pd.DataFrame:
    """What a user of the old method and event scores gets now, means over movies and strides."""
    keys = ["tracker", "rate", "stride", "movie"]
    by_gap = {gap: _wide(whole[whole["max_gap"] == gap], keys) for gap in (1, 2)}
    rows = []
    for links, old, new in (
        ("two frames, before and now", by_gap[2], by_gap[2]),
        ("one frame before, two now", by_gap[1], by_gap[2]),
    ):
        then = {metric: f"{metric} before" for metric in _METRICS}
        both = old.rename(columns=then, level=0).join(new, how="inner")
        groups = both.groupby(level=["tracker", "rate"])
        found = pd.DataFrame({"movies": groups.size()})
        for metric, title in _METRICS.items():
            found[f"{title} before"] = groups.mean()[f"{metric} before", OLD]
            found[f"{title} now"] = groups.mean()[metric, NOW]
        strides = ", ".join(str(n) for n in sorted(set(both.index.get_level_values("stride"))))
        rows.append(found.reset_index().assign(links=links, strides=strides))
    joined = _with_masks(pd.concat(rows, ignore_index=True))
    first = ["links", "strides", "tracker", "masks"]
    return joined[first + [name for name in joined if name not in first]]


def _worse(whole: pd.DataFrame) -> pd.DataFrame:
    """Movies that are worse with the prior than with the old defaults, or than with `auto` at T = 1."""
    wide = _wide(whole[whole["max_gap"] == 2], ["tracker", "rate", "movie", "stride"])
    parts = []
    for against in (OLD, METHOD):
        nll, old = wide["nll", NOW], wide["nll", against]
        higher = (nll > (1 + WORSE_SHARE) * old) & (nll > old + WORSE_BY)
        lower = wide["accuracy", NOW] < wide["accuracy", against] - WORSE_POINTS
        found = pd.DataFrame(
            {
                "worse than": against,
                **{
                    f"{title} {when}": wide[metric, how]
                    for metric, title in (("nll", "NLL"), ("accuracy", "accuracy"))
                    for when, how in (("before", against), ("now", NOW))
                },
                "in": [
                    "both" if h and a else "NLL" if h else "accuracy"
                    for h, a in zip(higher, lower, strict=True)
                ],
            },
            index=wide.index,
        )
        parts.append(found[higher | lower].reset_index())
    return _with_masks(pd.concat(parts, ignore_index=True))


def _aims(whole: pd.DataFrame, few: pd.DataFrame) -> pd.DataFrame:
    """What was aimed at, and what was found: one row an aim and kind of masks."""
    rows = []
    for rate, masks in _MASKS.items():
        wide = _wide(whole[(whole["max_gap"] == 2) & (whole["rate"] == rate)], ["tracker", "stride", "movie"])
        means = wide.groupby(level="tracker").mean()["nll"]
        ratio = means[NOW] / means[OLD]
        rows.append(
            _row(
                "no annotation: NLL at most half of that before", masks, ratio.le(HALF_OF_OLD), _listed(ratio)
            )
        )
        accuracy = wide.groupby(level=["tracker", "stride"]).mean()["accuracy"]
        low = accuracy[accuracy[OLD] < POINTS_BELOW]
        gain = low[NOW] - low[OLD]
        rows.append(
            _row(
                "no annotation: accuracy 1.5 points higher where it was below .95", masks, gain.ge(POINTS),
                f"{int(gain.ge(POINTS).sum())} of {len(gain)} pairs of tracker and stride; "
                f"{100 * gain.min():+.1f} to {100 * gain.max():+.1f} points, mean {100 * gain.mean():+.1f}",
            )
        )  # fmt: skip
        nll = wide["nll"]
        harmed = (nll[NOW] > (1 + WORSE_SHARE) * nll[METHOD]) & (nll[NOW] > nll[METHOD] + WORSE_BY)
        rows.append(
            _row(
                "no annotation: no movie worse than auto at T = 1", masks, ~harmed,
                f"{int(harmed.sum())} of {len(harmed)} movies and strides are",
            )
        )  # fmt: skip
        halves = _wide(few[few["rate"] == rate], ["tracker", "stride", "movie"]).dropna()
        means = halves.groupby(level="tracker").mean()["nll"]
        for how, bar, n in (("30 by `sample`", OF_OLD_30, 30), ("100 at random", OF_OLD_100, 100)):
            ratio = means[how] / means[OLD]
            rows.append(
                _row(
                    f"{n} annotated: NLL at most {bar:g} of that before", masks, ratio.le(bar), _listed(ratio)
                )
            )
        ece = halves.groupby(level=["stride", "tracker"]).mean()["ece", "100 at random"]
        for stride, bar in ECE_100.items():
            of = ece[ece.index.get_level_values("stride") == stride].droplevel("stride")
            rows.append(
                _row(
                    f"100 annotated: ECE at most {bar:g} at stride {stride}",
                    masks,
                    of.le(bar),
                    _listed(of, 3),
                )
            )
    return pd.DataFrame(rows).sort_values("aim", key=lambda aim: aim.map(_order(rows)), kind="stable")


def _order(rows: list[dict[str, str]]) -> dict[str, int]:
    """Aims in the order in which they were first named."""
    return {aim: i for i, aim in enumerate(dict.fromkeys(row["aim"] for row in rows))}


def _row(aim: str, masks: str, met: "pd.Series[bool]", found: str) -> dict[str, str]:
    verdict = (
        "not measured" if not len(met) else "met" if met.all() else "missed" if not met.any() else "in part"
    )
    if verdict == "in part" and "no movie" in aim:
        verdict = "missed"
    return {"aim": aim, "masks": masks, "verdict": verdict, "found": found or "–"}


def _listed(values: "pd.Series[float]", digits: int = 2) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


def _with_masks(table: pd.DataFrame) -> pd.DataFrame:
    """The share of missed cells in words."""
    masks = table["rate"].map(_MASKS)
    return table.drop(columns="rate").assign(masks=masks)[
        ["masks" if name == "rate" else name for name in table.columns]
    ]
