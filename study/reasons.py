"""Why the ECE stays where temperature scaling does not bring it down: a reason for each combination."""

import numpy as np
import pandas as pd

from study.claims import CALIBRATED
from study.tables import common
from study.units import ALL

REASONS = ("chance", "unreachable", "drift", "shape")


def why_above(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with TS in time whose ECE stays above 0.02, each with the reason that its numbers give.

    In this order: *chance*, if perfectly calibrated confidences would show as much (95 % quantile of simulations);
    *unreachable*, if half of it or more are daughters whose true mother is no candidate; *drift*, if the
    temperature of the judged frame pairs themselves would do (0.02, or chance); else *shape*: no one temperature does.
    """
    rows = common(table[table["method"].isin(ALL)], ("in time", "oracle"))
    key = ["movie", "recording", "stride", "tracker", "method"]
    fitted, oracle = (rows[rows["ts"] == ts].set_index(key) for ts in ("in time", "oracle"))
    above = fitted[fitted["ece"] > CALIBRATED]
    best = oracle.loc[above.index]
    enough = np.maximum(best["ece_if_calibrated_upper"], CALIBRATED)
    reason = np.select(
        [
            above["ece"] <= above["ece_if_calibrated_upper"],
            above["n_unreachable"] / above["n_daughters"] >= above["ece"] / 2,
            best["ece"] <= enough,
        ],
        ["chance", "unreachable", "drift"],
        "shape",
    )
    columns = ["ece", "ece_if_calibrated_upper", "temperature", "n_daughters", "n_unreachable", "accuracy"]
    found = above[columns].assign(
        reason=reason, oracle_ece=best["ece"], oracle_temperature=best["temperature"]
    )
    return found.reset_index()


def reasons_by_movie(found: pd.DataFrame) -> pd.DataFrame:
    """How often each reason was found, one row a movie; argument as `why_above` returns it."""
    count = found.pivot_table(index="movie", columns="reason", values="ece", aggfunc="count", fill_value=0)
    return (
        count.reindex(columns=list(REASONS), fill_value=0).astype(int).reset_index().rename_axis(columns=None)
    )
