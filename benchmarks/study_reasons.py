"""docs/calibration.md: ECE before and after temperature scaling, the change of the NLL, and why where it stays."""

import pandas as pd
from study_claims import CALIBRATED, why_above
from study_tables import common, mean_and_error
from study_units import METHODS, TRACKERS

STRIDES_SHOWN = (1, 2, 4, 8)
_REASONS = {
    "chance": "perfectly calibrated confidences would show as large an ECE on so few daughters (95 % quantile of "
    "simulations with these confidences)",
    "unreachable": "at least half of it are daughters whose true mother is no candidate: the tracker is sure of "
    "something else, and no temperature helps",
    "drift": "the temperature of the second half itself would do: the movie changes (denser, other motion), or its "
    "first half has too few errors to fit on",
    "shape": "no one temperature does: the scores are too sure of some daughters and not sure enough of others, "
    "or a few errors stand among daughters that all look alike",
}


def calibration_page(table: pd.DataFrame, link: str) -> str:
    """The page."""
    main = table[table["method"].isin(METHODS) & (table["error"].fillna("") == "")]
    page = [
        "# Calibration on real movies",
        "",
        f"Written by `python benchmarks/study.py` from [study.csv]({link}/study.csv), where every movie and every "
        "bootstrap bound is; what was run is described in [study.md](study.md). Temperatures were fitted on the "
        "first half of each movie's frame pairs (*in time*), or on the first halves of all other recordings (*other "
        "movies*); all numbers are of second halves, the same daughters before and after.",
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
        *_nll_text(main),
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
        for method in METHODS:
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


def _nll_text(main: pd.DataFrame) -> list[str]:
    lines = [
        "Change of the mean NLL by temperature scaling, with the 95 % interval of a bootstrap over frames. *Worse*: "
        "the whole interval is above 0; *better*: below.",
        "",
    ]
    rows = []
    for ts in ("in time", "other movies"):
        part = main[main["ts"] == ts]
        for method in METHODS:
            one = part[part["method"] == method]
            if len(one):
                rows.append(
                    {
                        "T fitted": ts,
                        "method": method,
                        "combinations": len(one),
                        "better": int((one["nll_change_upper"] < 0).sum()),
                        "within noise": int(
                            ((one["nll_change_upper"] >= 0) & (one["nll_change_lower"] <= 0)).sum()
                        ),
                        "worse": int((one["nll_change_lower"] > 0).sum()),
                        "mean change": f"{one['nll_change'].mean():+.4f}",
                        "largest rise": f"{one['nll_change'].max():+.4f}",
                    }
                )
    lines.append(pd.DataFrame(rows).to_markdown(index=False))
    worse = main[(main["ts"] == "in time") & (main["nll_change_lower"] > 0)]
    if len(worse):
        columns = ["movie", "stride", "tracker", "method", "temperature", "n_daughters", "accuracy"]
        shown = worse.nlargest(15, "nll_change")[
            [*columns, "nll", "nll_change", "nll_change_lower", "nll_change_upper"]
        ]
        best = common(main, ("in time", "oracle"))
        oracle = best[best["ts"] == "oracle"].set_index(["movie", "stride", "tracker", "method"])[
            "temperature"
        ]
        keys = list(shown[["movie", "stride", "tracker", "method"]].itertuples(index=False, name=None))
        shown = shown.assign(oracle_temperature=oracle.reindex(pd.MultiIndex.from_tuples(keys)).to_numpy())
        lines += [
            "",
            f"Worse by more than noise with T fitted in time: {len(worse)} of {(main['ts'] == 'in time').sum()} "
            f"combinations; the {len(shown)} largest, with the temperature that the second half itself asks for:",
            "",
            shown.to_markdown(index=False, floatfmt=".4g"),
        ]
    else:
        lines += ["", "In no combination does T fitted in time make the NLL worse by more than noise."]
    return lines


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
