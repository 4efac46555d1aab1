"""The page about samples that prefer doubtful daughters."""

import numpy as np
import pandas as pd
from scipy.stats import binom

from benchmarks.machine import describe_machine
from experiments.annotation_sample.checks import COMPARED_SHARE, COMPARED_SIZE, DELTA, FEWEST, SHARES, SIZES
from experiments.annotation_sample.movies import KINDS


def risk_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of movie, size, way to draw, test and alpha."""
    return rows.groupby(["kind", "n", "evenly", "test", "alpha"], sort=False).agg(
        movies=("broken", "size"), certified=("certified", "mean"), accepted=("accepted", "mean"),
        largest_error=("error", "max"), broken=("broken", "mean"),
    ).reset_index()  # fmt: skip


def sets_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of movie, size, way to draw, quantile and promised coverage."""
    found = rows.groupby(["kind", "n", "evenly", "test", "promised"], sort=False).agg(
        movies=("covered", "size"), covered=("covered", "mean"), standard_error=("covered", "sem"),
        attainable=("attainable", "mean"),
    ).reset_index()  # fmt: skip
    found["from_promise"] = (found["covered"] - found["promised"]) / found["standard_error"].clip(lower=1e-9)
    return found


def estimates_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of movie, size, usefulness, way to draw, number and estimate; RMSE beside that of drawing evenly."""
    names = ["kind", "n", "useful", "evenly", "of", "estimate"]
    by = rows.assign(square=rows["off"] ** 2).groupby(names, sort=False)
    found = by.agg(
        movies=("off", "size"), bias=("off", "mean"), square=("square", "mean"), within=("within", "mean")
    )
    found = found.reset_index()
    found["rmse"] = np.sqrt(found.pop("square"))
    even = found[(found["evenly"] == 1) & (found["estimate"] == "unweighted")]
    against = even.set_index(["kind", "n", "of"])["rmse"].rename("even")
    found = found.join(against, on=["kind", "n", "of"])
    found["to_even"] = found["rmse"] / found.pop("even")
    found.loc[~found["of"].isin(("errors", "NLL")) | (found["estimate"] == "unweighted"), "within"] = np.nan
    return found


def page(
    risk: pd.DataFrame, sets: pd.DataFrame, estimates: pd.DataFrame, n_movies: int, n_estimates: int
) -> list[str]:
    """The page, from the three tables."""
    ours = risk[risk["test"] == "weighted"]
    naive = risk[risk["test"] != "weighted"]
    allowed = binom.ppf(1 - 0.01 / len(ours), n_movies, DELTA) / n_movies
    weighted = sets[(sets["test"] == "weighted") & (sets["attainable"] == 1)]
    plain = sets[(sets["test"] != "weighted") & (sets["evenly"] < 1)]
    shown = estimates[
        (estimates["n"] == COMPARED_SIZE) & (estimates["useful"] == estimates["useful"].iloc[0])
    ]
    kept = (shown["estimate"] != "unweighted") | ((shown["of"] == "log T") & (shown["evenly"] < 1))
    ratio = shown[kept].pivot_table(
        index=["of", "estimate", "evenly"], columns="kind", values="to_even", sort=False
    )
    biased = shown[(shown["estimate"] == "unweighted") & (shown["evenly"] < 1)]
    bias = biased.assign(evenly=biased["evenly"].map("{:g} evenly".format)).pivot_table(
        index=["of", "evenly"], columns="kind", values="bias", sort=False
    )
    useful = estimates[
        (estimates["n"] == COMPARED_SIZE) & (estimates["evenly"] == COMPARED_SHARE)
        & (estimates["estimate"] == "weighted")
    ].pivot_table(index=["of", "useful"], columns="kind", values="to_even", sort=False)  # fmt: skip
    within = shown["within"].dropna()
    accepted = ours.pivot_table(
        index=["kind", "alpha", "n"], columns="evenly", values=["certified", "accepted"], sort=False
    )
    accepted.columns = [f"{name}, {share:g} evenly" for name, share in accepted.columns]
    return [
        "# Do the promises hold where doubtful daughters are preferred?",
        "",
        f"Written by `python -m experiments.annotation_sample`. {describe_machine()}",
        "",
        f"{n_movies} simulated movies of each of {len(KINDS)} kinds, 24 frames, about 1,700 daughters; distance "
        f"tracker, method auto. Of each, {' and '.join(str(n) for n in SIZES)} daughters were drawn "
        f"(and the first {FEWEST} of the list of {SIZES[0]}), a share of {', '.join(f'{share:g}' for share in SHARES)} "
        "of them evenly and the rest in proportion to sqrt(p (1 - p)). 1 is a plain random sample.",
        "",
        *(f"- **{kind}**: {what}" for kind, what in KINDS.items()),
        "",
        f"## Accepted decisions: at most alpha wrong, with {100 * (1 - DELTA):.0f} % confidence",
        "",
        f"Share of movies in which more than alpha of all accepted decisions were wrong, promised at most {DELTA}: "
        f"{ours['broken'].mean():.4f} over all {len(ours)} cases, {ours['broken'].max():.3f} in the worst one. "
        f"(A promise kept to the letter stays at or below {allowed:.3f} in all of them with 99 % probability.) "
        "The same samples taken for plain random ones (`ReviewStatistic`) break it in up to "
        f"{naive.loc[naive['evenly'] < 1, 'broken'].max():.3f}:",
        "",
        pd.concat([ours[ours["broken"] > 0], naive[naive["broken"] > 0]])
        .sort_values("broken", ascending=False).head(16).to_markdown(index=False, floatfmt=".3g"),
        "",
        "What it costs: how often a threshold was certified, and what share of the movie was accepted (0 without one), "
        "by the share drawn evenly:",
        "",
        accepted.reset_index().to_markdown(index=False, floatfmt=".3g"),
        "",
        "With the binomial test of plain random samples, which is the sharper one there:",
        "",
        naive[naive["evenly"] == 1].drop(columns=["test", "evenly"]).to_markdown(index=False, floatfmt=".3g"),
        "",
        "## Conformal sets",
        "",
        f"Of the daughters that were not drawn, LAC, empty sets allowed. {len(weighted)} cases in which the coverage "
        f"could be met in every movie: the lowest mean coverage is {weighted['from_promise'].min():+.1f} standard "
        "errors from what is promised. Taken for plain random samples, the samples that prefer doubtful daughters "
        f"cover up to {(plain['promised'] - plain['covered']).max():.3f} less than promised.",
        "",
        sets[sets["n"] == COMPARED_SIZE].to_markdown(index=False, floatfmt=".4g"),
        "",
        "## Estimates",
        "",
        f"{COMPARED_SIZE} daughters, {n_estimates} movies: root mean squared error, divided by that of a plain random "
        "sample of the same size. Below 1 is better; its square is the share of the annotation that would do. \"With "
        'expected": corrected by what the probabilities say of all daughters (`sample_mean`). T: of SM; nan where the '
        "truth is no candidate by design. With 50 movies these ratios are known to about 15 %.",
        "",
        ratio.reset_index().to_markdown(index=False, floatfmt=".2f"),
        "",
        "Bias of the same samples without weights:",
        "",
        bias.reset_index().to_markdown(index=False, floatfmt="+.3f"),
        "",
        f"Other kinds of usefulness ({COMPARED_SHARE:g} evenly, weighted), as above:",
        "",
        useful.reset_index().to_markdown(index=False, floatfmt=".2f"),
        "",
        f"The true error rate or NLL lay within 1.96 standard errors in {within.mean():.3f} of all cases "
        f"(lowest kind and estimate: {within.min():.2f}): with few errors in a sample such intervals are too short.",
        "",
    ]  # fmt: skip
