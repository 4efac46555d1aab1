"""Comparisons that the paper does not have, each a table of means."""

import pandas as pd

from study.tables import KEY, mean_and_error, without_failures
from study.units import FITTED

UNIT = ["movie", "stride", "tracker"]
STATES = ("none", "in time")
METHODS_COMPARED = {
    "exact_against_as": ("AS, K=10", "AS", "AS, K=1000", "auto"),
    "trackastras_own_scores": ("Trackastra's own", "SM", "auto"),
    "agreement_voting": ("vote", "FP+A"),
}
"""Methods that are judged on the same movies, by comparison; what each is stands in the page's template."""


def comparisons(table: pd.DataFrame, seconds: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All that were run, by name.

    Args:
        table: Of the study.
        seconds: What each row took.
    """
    table = without_failures(table).merge(seconds, on=KEY, how="left")
    found = {name: _of_methods(table, methods) for name, methods in METHODS_COMPARED.items()}
    found |= {"neighbourhood_marginals": _neighbourhood(table), "fitted_event_scores": _events(table)}
    return {name: part for name, part in found.items() if len(part)}


def _of_methods(table: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    """Means over recordings and all strides, where all these methods were run."""
    rows = table[table["method"].isin(methods) & table["ts"].isin(STATES)]
    rows = rows[rows.groupby(UNIT)["method"].transform("nunique") == len(methods)]
    columns = {"nll": "NLL", "ece": "ECE", "brier": "Brier", "accuracy": "accuracy", "aurc_entropy": "AURC"}
    if "auto" in methods and "AS" in methods:
        columns |= {"exact_share": "exact pairs", "covered_mass": "covered mass"}
    found = []
    for tracker in sorted(rows["tracker"].unique()):
        for ts in STATES:
            for method in methods:
                part = rows[(rows["tracker"] == tracker) & (rows["ts"] == ts) & (rows["method"] == method)]
                row = {"tracker": tracker, "T": ts, "method": method}
                for column, label in columns.items():
                    row[label] = mean_and_error(part, column, ["method"])["mean"].iloc[0]
                solving = part["seconds_solving"].fillna(0) + part["seconds_posterior"]
                row["seconds a movie"] = round(solving.mean(), 3)
                found.append(row)
    return pd.DataFrame(found)


def _neighbourhood(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["method"].isin(("local", "auto, as local"))]
    found = []
    for (tracker, ts, method), part in rows.groupby(["tracker", "ts", "method"]):
        row = {"tracker": tracker, "T": ts, "method": str(method).replace("auto, as local", "auto")}
        row |= {"NLL": part["nll"].mean(), "ECE": part["ece"].mean(), "accuracy": part["accuracy"].mean()}
        if method == "local":
            row["mean error"] = part["error_mean"].mean()
            row["largest error, median"] = part["error_max"].median()
            row["largest error, worst"] = part["error_max"].max()
        row["ms a daughter"] = round(1000 * part["seconds_posterior"].sum() / part["n_daughters"].sum(), 3)
        found.append(row)
    return pd.DataFrame(found)


def _events(table: pd.DataFrame) -> pd.DataFrame:
    fitted = table[(table["method"] == FITTED) & (table["ts"] == "in time")].set_index(UNIT)
    fixed = table[(table["method"] == "auto") & (table["ts"] == "in time")].set_index(UNIT)
    both = fitted.index.intersection(fixed.index)
    found = []
    for tracker in sorted(set(both.get_level_values("tracker"))):
        units = [unit for unit in both if unit[2] == tracker]
        lower = (fitted.loc[units, "nll"] < fixed.loc[units, "nll"]).sum()
        for name, rows in (("fixed", fixed), ("fitted", fitted)):
            part = rows.loc[units]
            row = {"tracker": tracker, "event scores": name, "units": len(units)}
            for column in ("nll", "ece", "ece_with_mother", "ece_null", "ece_division", "accuracy"):
                row[column] = part[column].mean()
            if name == "fitted":
                row["units of lower NLL"] = lower
                for event in ("appear", "disappear", "divide"):
                    row[event] = part[f"offset_{event}"].median()
            found.append(row)
    return pd.DataFrame(found)
