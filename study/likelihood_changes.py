"""What temperature scaling does to the likelihood of new daughters: split in time, other movies, stress test."""

import numpy as np
import pandas as pd

from study.noise import holm
from study.tables import common
from study.units import ALL, METHODS

STRESS = "first half"
"""What the stress test is called among the ways to fit."""
_UNIT = ["movie", "stride", "tracker", "method"]
_LEVEL = 0.025


def changes_by_way(main: pd.DataFrame, stress: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """The rows whose NLL has changed, by how T was fitted.

    Args:
        main: Rows of the study without errors.
        stress: Rows of the stress test, or None.
    """
    ways = {ts: main[(main["ts"] == ts) & main["method"].isin(ALL)] for ts in ("in time", "other movies")}
    oracle = common(main, ("in time", "oracle"))
    oracle = oracle[oracle["ts"] == "oracle"].set_index(_UNIT)["temperature"]
    ways = {
        way: part.assign(oracle_temperature=oracle.reindex(pd.MultiIndex.from_frame(part[_UNIT])).to_numpy())
        for way, part in ways.items()
    }
    if stress is not None:
        ways[STRESS] = stress[stress["method"].isin(METHODS)]
    return {way: part[part["nll_change"].notna()] for way, part in ways.items() if len(part)}


def summarise_changes(ways: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """How many combinations are better and worse by more than noise, by way to fit and method, and for all methods."""
    rows = []
    for way, part in ways.items():
        fallen = pd.Series(holm(part["nll_change_p"].to_numpy(dtype=float)), part.index)
        for method in (*(name for name in ALL if name in set(part["method"])), "all"):
            one = part if method == "all" else part[part["method"] == method]
            worse, better = one["nll_change_p"] <= _LEVEL, one["nll_change_upper"] < 0
            rows.append(
                {
                    "T fitted": way,
                    "method": method,
                    "combinations": len(one),
                    "better": int(better.sum()),
                    "within noise": int((~worse & ~better).sum()),
                    "worse": int(worse.sum()),
                    "worse by chance": round(_LEVEL * len(one), 1),
                    "worse, Holm": int(fallen[one.index].sum()),
                    "mean change": one["nll_change"].mean(),
                    "largest rise": one["nll_change"].max(),
                }
            )
    return pd.DataFrame(rows)


def worse_combinations(ways: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All that are worse by more than noise before any correction, the surest first, with the T they ask for."""
    columns = [*_UNIT, "temperature", "oracle_temperature", "n_daughters", "n_frames_judged"]
    changes = ["nll_change", "nll_change_lower", "nll_change_upper", "nll_change_p"]
    parts = []
    for way, part in ways.items():
        holds = holm(part["nll_change_p"].to_numpy(dtype=float))
        part = part.assign(way=way, holm=np.where(holds, "yes", "no"))
        worse = part[part["nll_change_p"] <= _LEVEL].sort_values("nll_change_p", kind="stable")
        parts.append(worse[["way", *columns, *changes, "holm"]].rename(columns={"way": "T fitted"}))
    return pd.concat(parts, ignore_index=True)
