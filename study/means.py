"""Means over recordings that the pages show, and what was run."""

import pandas as pd

from study.claims import CALIBRATED
from study.tables import mean_and_error, rank, without_failures
from study.units import ALL, TRACKERS

STRIDES_SHOWN = (1, 2, 4, 8)
MEASURES = ("ece", "ece_with_mother", "nll", "brier", "aurc", "aurc_entropy", "accuracy")
STATES = ("none", "in time", "other movies")


def movies_run(table: pd.DataFrame) -> pd.DataFrame:
    """One row a movie and stride: how many daughters were judged, by which trackers."""
    good = without_failures(table)
    good = good[(good["method"] == "SM") & (good["ts"] == "none")]
    rows = []
    for (movie, stride), part in good.groupby(["movie", "stride"]):
        one = part.sort_values("tracker", key=lambda name: name != "Distance", kind="stable").iloc[0]
        seen = bool(part.loc[part["tracker"] == "Transformer", "model_saw_movie"].any())
        rows.append(
            {
                "movie": movie,
                "stride": stride,
                "daughters judged": int(one["n_daughters"]),
                "without mother": int(one["n_null"]),
                "third daughters": int(one["n_crowded"]),
                "trackers": ", ".join(name for name in TRACKERS if name in set(part["tracker"])),
                "Transformer trained on it": "yes" if seen else "no",
            }
        )
    return pd.DataFrame(rows)


def movies_shown(run: pd.DataFrame) -> pd.DataFrame:
    """The same, one row a movie."""
    rows = []
    for movie, part in run.groupby("movie", sort=False):
        first = part.iloc[0]
        rows.append(
            {
                "movie": movie,
                "strides": ", ".join(map(str, part["stride"])),
                f"daughters judged at stride {first['stride']}": first["daughters judged"],
                "trackers": "all" if first["trackers"] == ", ".join(TRACKERS) else first["trackers"],
                "Transformer trained on it": first["Transformer trained on it"],
            }
        )
    return pd.DataFrame(rows)


def means_over_recordings(main: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and number of recordings of every measure, tracker, method, T and stride."""
    by = ["tracker", "method", "ts", "stride"]
    parts = [mean_and_error(main, column, by).assign(measure=column) for column in MEASURES]
    found = pd.concat(parts, ignore_index=True)[["measure", *by, "mean", "se", "n"]]
    found = found[found["ts"].isin(STATES)]
    keys = {"_tracker": rank(found["tracker"], tuple(TRACKERS)), "_method": rank(found["method"], ALL)}
    order = ["measure", *keys, "stride", "ts"]
    return found.assign(**keys).sort_values(order, kind="stable").drop(columns=list(keys))


def before_and_after(means: pd.DataFrame) -> pd.DataFrame:
    """ECE without, in time and of other movies, by tracker and method, a column a stride."""
    ece = means[means["measure"] == "ece"].set_index(["tracker", "method", "ts", "stride"])["mean"]
    rows = []
    for tracker in (name for name in TRACKERS if name in set(means["tracker"])):
        for method in (name for name in ALL if name in set(means["method"])):
            row = {"tracker": tracker, "method": method}
            for stride in STRIDES_SHOWN:
                values = [ece.get((tracker, method, ts, stride)) for ts in STATES]
                none, fitted, other = ("–" if value is None else f"{value:.3f}" for value in values)
                good = values[1] is not None and values[1] <= CALIBRATED
                row[f"stride {stride}"] = f"{none} → {f'**{fitted}**' if good else fitted} / {other}"
            rows.append(row)
    return pd.DataFrame(rows)
