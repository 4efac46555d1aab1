"""From the results of the units to tables, and from tables to means over recordings."""

from pathlib import Path
from typing import Any

import pandas as pd

from common.results import write_csv
from study.units import ALL, TRACKERS, Unit, trained_on

DIGITS = "%.6g"
"""Of numbers in all CSVs of the study."""
KEY = ["movie", "stride", "tracker", "method", "ts"]
TS = ("none", "in time", "other movies", "oracle")
_FIRST = [
    *KEY, "recording", "model_saw_movie", "error", "n_daughters", "n_unreachable", "n_null", "n_crowded",
    "n_frames_judged", "temperature", "accuracy", "map_accuracy",
]  # fmt: skip
_SECONDS = ["seconds_scoring", "seconds_solving", "seconds_posterior"]


def collect(results: list[tuple[Unit, list[dict[str, Any]]]]) -> dict[str, pd.DataFrame]:
    """Tables "study" (one row a combination), "seconds", "sparsification" and "stress" (the stress test).

    Args:
        results: Each unit with the results of its passes.
    """
    rows, curves, stress = [], [], []
    for unit, parts in results:
        facts = {
            "movie": unit.movie,
            "recording": unit.recording,
            "stride": unit.stride,
            "tracker": unit.tracker,
            "model_saw_movie": trained_on(unit.movie, unit.tracker),
        }
        for part in parts:
            rows += [{**facts, **row} for row in part["rows"]]
            curves += [{**facts, **row} for row in part.get("sparsification", [])]
            stress += [{**facts, "ts": "in time", "error": "", **row} for row in part.get("stress", [])]
            if part["error"]:
                rows.append({**facts, "method": "all", "ts": "none", "error": part["error"]})
    table = _sorted(pd.DataFrame(rows))
    table = table[[*_first_of(table), *(name for name in table if name not in _FIRST)]]
    seconds = table[[*KEY, *(name for name in _SECONDS if name in table)]]
    found = {"study": table.drop(columns=[name for name in _SECONDS if name in table]), "seconds": seconds}
    if curves:
        found["sparsification"] = _sorted(pd.DataFrame(curves)).drop(columns=["recording", "model_saw_movie"])
    if stress:
        found["stress"] = _sorted(pd.DataFrame(stress))
    return found


def save_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write a CSV a table."""
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table, DIGITS)


def load_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """What `save_tables` wrote.

    Raises:
        SystemExit: There are no tables.
    """
    files = {name: folder / f"{name}.csv" for name in ("study", "seconds", "sparsification", "stress")}
    if not files["study"].is_file():
        raise SystemExit(f"{folder} holds no study.csv; run `python -m study -o {folder}` first")
    return {
        name: pd.read_csv(file, dtype={"error": object}) for name, file in files.items() if file.is_file()
    }


def without_failures(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of what did not fail."""
    return table[table["error"].fillna("") == ""]


def by_recording(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Means over the frame rates of one recording, so that each recording counts once."""
    good = without_failures(table)
    keys = ["recording", "stride", "tracker", "method", "ts"]
    return good.groupby(keys, as_index=False)[columns].mean()


def mean_and_error(table: pd.DataFrame, column: str, by: list[str]) -> pd.DataFrame:
    """Mean over recordings, standard error (NaN for one recording), and their number."""
    grouped = by_recording(table, [column]).groupby(by)[column]
    found = pd.DataFrame({"mean": grouped.mean(), "se": grouped.sem(), "n": grouped.count()})
    return found.reset_index()


def common(table: pd.DataFrame, states: tuple[str, ...]) -> pd.DataFrame:
    """The rows of some TS states whose movie, stride, tracker and method have all of these states."""
    chosen = without_failures(table[table["ts"].isin(states)])
    complete = chosen.groupby(KEY[:-1])["ts"].transform("nunique") == len(states)
    return chosen[complete]


def rank(names: pd.Series, order: tuple[str, ...]) -> pd.Series:
    """Position in an order, for sorting; names that are not in it come last."""
    return names.map({name: i for i, name in enumerate(order)}).fillna(len(order))


def _first_of(table: pd.DataFrame) -> list[str]:
    return [name for name in _FIRST if name in table]


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    orders = {"tracker": tuple(TRACKERS), "method": ALL, "ts": TS}
    keys = {f"_{name}": rank(table[name], order) for name, order in orders.items()}
    ranked = table.assign(**keys)
    columns = ["movie", "stride", "_tracker", "_method", "method", "_ts", *(["by"] if "by" in table else [])]
    return ranked.sort_values(columns, kind="stable").drop(columns=list(keys)).reset_index(drop=True)
