"""The section of docs/calibration.md on the likelihood of new daughters, split in time and stress test."""

import pandas as pd
from study_noise import holm
from study_tables import common
from study_units import ALL, METHODS

_UNIT = ["movie", "stride", "tracker", "method"]
_LEVEL = 0.025
N_SHOWN = 15


def nll_text(main: pd.DataFrame, stress: pd.DataFrame | None) -> list[str]:
    """Tables of changes and the combinations that are worse.

    Args:
        main: Rows of the study without errors.
        stress: Rows of the stress test, or None.
    """
    lines = [
        "Change of the mean NLL by temperature scaling, with the 95 % interval of Student's t over frame pairs "
        "(degrees of freedom of Bell and McCaffrey; with two frame pairs little is ever more than noise). *Worse*: the "
        "whole interval is above 0, which chance alone does in 2.5 % of comparisons; *better*: below. *Worse, Holm*: "
        "what is left when the chance of a single false alarm in all comparisons of one way to fit is held at 5 %.",
        "",
    ]
    for ts in ("in time", "other movies"):
        part = main[main["ts"] == ts]
        if len(part):
            lines += [
                f"### T fitted {'in time' if ts == 'in time' else 'on other movies'}",
                "",
                *_changes(part, ALL),
                "",
            ]
    fitted = main[main["ts"] == "in time"]
    oracle = common(main, ("in time", "oracle"))
    oracle = oracle[oracle["ts"] == "oracle"].set_index(_UNIT)["temperature"]
    keys = pd.MultiIndex.from_frame(fitted[_UNIT])
    fitted = fitted.assign(oracle_temperature=oracle.reindex(keys).to_numpy())
    lines += _worst(fitted, "the temperature that the judged blocks themselves ask for")
    if stress is not None:
        lines += [
            "### Stress test: first half -> second half",
            "",
            "Fitted on the first half of a movie's frame pairs and judged on the second, from the same likelihoods; "
            "over daughters whose true mother is a candidate. This is extrapolation: it shows what to expect where "
            "only the beginning of a movie is annotated.",
            "",
            *_changes(stress, METHODS),
            "",
            *_worst(stress, "the temperature that the second half itself asks for"),
        ]
    return lines


def _changes(part: pd.DataFrame, methods: tuple[str, ...]) -> list[str]:
    part = part[part["method"].isin(methods) & part["nll_change"].notna()]
    fallen = pd.Series(holm(part["nll_change_p"].to_numpy(dtype=float)), part.index)
    rows = []
    for method in (*(name for name in methods if name in set(part["method"])), "all"):
        one = part if method == "all" else part[part["method"] == method]
        worse, better = one["nll_change_p"] <= _LEVEL, one["nll_change_upper"] < 0
        rows.append(
            {
                "method": method,
                "combinations": len(one),
                "better": int(better.sum()),
                "within noise": int((~worse & ~better).sum()),
                "worse": int(worse.sum()),
                "by chance": f"{_LEVEL * len(one):.1f}",
                "worse, Holm": int(fallen[one.index].sum()),
                "mean change": f"{one['nll_change'].mean():+.4f}",
                "largest rise": f"{one['nll_change'].max():+.4f}",
            }
        )
    return [pd.DataFrame(rows).to_markdown(index=False)]


def _worst(part: pd.DataFrame, oracle: str) -> list[str]:
    part = part[part["method"].isin(ALL)]
    worse = part[part["nll_change_p"] <= _LEVEL]
    if worse.empty:
        return ["In no combination is the NLL worse by more than noise, corrected or not.", ""]
    columns = [*_UNIT, "temperature", "oracle_temperature", "n_daughters", "n_frames_judged"]
    changes = ["nll_change", "nll_change_lower", "nll_change_upper", "nll_change_p"]
    shown = worse.nsmallest(N_SHOWN, "nll_change_p")[[*columns, *changes]]
    return [
        f"Worse without correction: {len(worse)} of {len(part)} combinations; the {len(shown)} surest, with {oracle}:",
        "",
        shown.to_markdown(index=False, floatfmt=".3g"),
        "",
    ]
