"""docs/calibration.md: ECE before and after temperature scaling, the change of the NLL, and why where it stays."""

import pandas as pd
from study_claims import CALIBRATED, why_above
from study_nll_text import nll_text
from study_tables import mean_and_error
from study_units import ALL, TRACKERS

STRIDES_SHOWN = (1, 2, 4, 8)
_REASONS = {
    "chance": "perfectly calibrated confidences would show as large an ECE on so few daughters (95 % quantile of "
    "simulations with these confidences)",
    "unreachable": "at least half of it are daughters whose true mother is no candidate: the tracker is sure of "
    "something else, and no temperature helps",
    "drift": "the temperature of the judged blocks themselves would do: the fitted ones differ from them, or have too "
    "few errors to fit on",
    "shape": "no one temperature does: the scores are too sure of some daughters and not sure enough of others, "
    "or a few errors stand among daughters that all look alike",
}


def calibration_page(tables: dict[str, pd.DataFrame], link: str) -> str:
    """The page."""
    table = tables["study"]
    main = table[table["method"].isin(ALL) & (table["error"].fillna("") == "")]
    page = [
        "# Calibration on real movies",
        "",
        f"Written by `python benchmarks/study.py` from [study.csv]({link}/study.csv), where every movie and every "
        "bound is; what was run is described in [study.md](study.md). Temperatures were fitted on every other block of "
        "each movie's frame pairs (*in time*), or on all other recordings (*other movies*); all numbers are of the "
        "blocks in between, the same daughters before and after.",
        "",
        "## ECE before and after temperature scaling",
        "",
        "Mean over recordings: without → in time / other movies. Bold: in time at most 0.02.",
        "",
        _ece_table(main),
        "",
        "Over daughters that truly have a mother (the second version of DESIGN.md):",
        "",
        _ece_table(main, "ece_with_mother"),
        "",
        "## Negative log-likelihood on new daughters",
        "",
        *nll_text(main, tables.get("stress")),
        "",
        f"## Why ECE stays above {CALIBRATED}",
        "",
        *_reason_text(main),
        "",
    ]
    return "\n".join(page)


def _ece_table(main: pd.DataFrame, column: str = "ece") -> str:
    means = mean_and_error(main, column, ["tracker", "method", "ts", "stride"]).set_index(
        ["tracker", "method", "ts", "stride"]
    )["mean"]
    rows = []
    for tracker in (name for name in TRACKERS if name in set(main["tracker"])):
        for method in ALL:
            row = {"tracker": tracker, "method": method}
            for stride in STRIDES_SHOWN:
                values = [
                    means.get((tracker, method, ts, stride)) for ts in ("none", "in time", "other movies")
                ]
                none, fitted, other = ("–" if value is None else f"{value:.3f}" for value in values)
                good = values[1] is not None and values[1] <= CALIBRATED
                row[f"stride {stride}"] = f"{none} → {f'**{fitted}**' if good else fitted} / {other}"
            rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False)


def _reason_text(main: pd.DataFrame) -> list[str]:
    found = why_above(main)
    n = int((main["ts"] == "in time").sum())
    lines = [
        f"With T fitted in time, {len(found)} of {n} combinations of movie, stride, tracker and method (strides "
        "16 included) stay above it. Each has the first of these reasons that its numbers allow:",
        "",
        *(f"- *{name}* ({(found['reason'] == name).sum()}): {text}." for name, text in _REASONS.items()),
        "",
    ]
    if len(found):
        count = found.pivot_table(
            index="movie", columns="reason", values="ece", aggfunc="count", fill_value=0
        )
        lines += [count[[name for name in _REASONS if name in count]].to_markdown(), ""]
        shown = found[found["method"].isin(("SM", "auto"))].drop(columns="recording")
        lines += ["In detail for SM and auto (the others are in the table):", ""]
        lines.append(shown.to_markdown(index=False, floatfmt=".3g"))
    return lines
