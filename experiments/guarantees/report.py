"""The page about the promises."""

import pandas as pd
from scipy.stats import binom

from benchmarks.machine import describe_machine
from experiments.guarantees.cases import DEFAULT, METHODS, STRIDES, TRACKERS
from experiments.guarantees.checks import DELTA


def page(risk: pd.DataFrame, coverage: pd.DataFrame, n_splits: int) -> list[str]:
    """The page, from the rows of `checks`."""
    n_cases = len(risk.groupby(["movie", "stride", "tracker", "method"]))
    exchangeable = risk[risk["split"].isin(("draws", "daughters"))]
    worst = exchangeable["broken in the movie"].max()
    allowed = binom.ppf(1 - 0.01 / len(exchangeable), n_splits, DELTA) / n_splits
    which = risk["method"].eq(DEFAULT).map({True: DEFAULT, False: ", ".join(METHODS[:-1])})
    summary = risk.assign(methods=which).groupby(["methods", "split", "alpha"], sort=False).agg(
        cases=("movie", "size"), certified=("certified", "mean"), accepted=("accepted", "mean"),
        mean_error=("error of accepted", "mean"), worst_error=("error of accepted", "max"),
        broken=("broken in the movie", "mean"), most_broken=("broken in the movie", "max"),
        broken_in_the_rest=("broken in the rest", "mean"),
    ).reset_index()  # fmt: skip
    summary.columns = [name.replace("_", " ") for name in summary.columns]
    shown = risk[(risk["split"] == "draws") & risk["method"].isin(("AS", DEFAULT))]
    by_movie = shown.drop(columns=["split", "splits"])
    sets = coverage[coverage["attainable"] == 1]
    exact = sets[sets["split"].isin(("draws", "daughters"))]
    low = ((exact["covered"] - exact["promised"]) / exact["standard error"].clip(lower=1e-9)).min()
    aps = exact[exact["score"] == "APS"]
    high = ((aps["covered"] - aps["upper"]) / aps["standard error"].clip(lower=1e-9)).max()
    covered = sets.groupby(["split", "score", "promised"], sort=False).agg(
        cases=("movie", "size"), mean=("covered", "mean"), lowest=("covered", "min"), highest=("covered", "max"),
        set_size=("set size", "mean"),
    ).reset_index()  # fmt: skip
    missed = coverage[(coverage["attainable"] < 1) & (coverage["split"] == "draws")]
    return [
        "# Do the promises hold?",
        "",
        f"Written by `python -m experiments.guarantees`. {describe_machine()}",
        "",
        f"{n_cases} cases: {risk['movie'].nunique()} movies, strides {STRIDES}, trackers {', '.join(TRACKERS)}, "
        f"methods {', '.join(METHODS)}. SM and AS: temperature 1, the tracker's own event scores, links between "
        f"consecutive frames. {DEFAULT}: what `track` does when nothing is said, `auto` over links of up to two frames "
        "with temperature and event scores from the tracker's prior; that prior was learned from these movies among "
        "others, which makes its probabilities better than on new ones, but promises need no untouched probabilities. "
        "small_2d was trained on the first 85 % of four of these movies. "
        f"Half of the daughters are annotated. Splits: {n_splits} draws of daughters with replacement, judged by "
        f"the whole movie; {n_splits} of daughters and {n_splits} of frames at random, judged by the "
        "other half; one in time (first half annotated); all other movies annotated; the other "
        "stride annotated. All rows are in `guarantees_risk.csv` and `guarantees_coverage.csv`.",
        "",
        f"## Accepted decisions: at most alpha wrong, with {100 * (1 - DELTA):.0f} % confidence",
        "",
        '"Broken" is the share of splits in which more than alpha of the movie\'s accepted decisions are wrong: '
        f"promised to be at most {DELTA} for draws and splits of daughters. Most in any case: {worst:.3f}. "
        f"(With {n_splits} splits and {len(exchangeable)} cases, a promise kept to the letter stays at or below "
        f"{allowed:.3f} in all of them "
        'with 99 % probability.) "Broken in the rest" judges by the other half only, whose own noise comes on top; '
        "nothing is promised of it. Where no threshold is certified, nothing is accepted and nothing broken.",
        "",
        summary.to_markdown(index=False, floatfmt=".3g"),
        "",
        f"Draws, methods AS and {DEFAULT}:",
        "",
        by_movie.to_markdown(index=False, floatfmt=".3g"),
        "",
        "## Conformal sets",
        "",
        f"Empty sets allowed. Draws and splits of daughters, {len(exact)} cases where the coverage "
        f"is attainable: the lowest mean coverage is {low:+.1f} standard errors from what is promised, and that of "
        f"APS, whose scores do not tie, at most {high:+.1f} standard errors above coverage + 1 / (n + 1). LAC covers "
        "more where probabilities tie.",
        "",
        covered.to_markdown(index=False, floatfmt=".4g"),
        "",
        "Not attainable in some split, because too many true mothers are no candidates or too few daughters are "
        f"annotated: {len(missed)} cases.",
        "",
        missed.drop(columns=["split", "standard error", "upper"]).to_markdown(index=False, floatfmt=".3g"),
        "",
    ]
