"""The page and tables of `experiments.review_looks`."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import describe_machine
from common.results import write_results
from experiments.review_looks.bound import MOST_LOOKS, REVIEWS
from experiments.review_looks.oracle import MOST_CELLS, Case
from study.tables import trained_on

FEWEST_ERRORS = 5
FIRST = 0.05
Found = dict[Case, tuple[dict[str, Any], dict[str, float]]]


def found_share(order: list[int], wrong: list[int], n: int, share: float = FIRST) -> float:
    """Share of the errors among the first looks of an order."""
    first = order[: max(1, round(share * n))]
    return len(set(first) & set(wrong)) / len(wrong)


def spots_share(oracle: dict[str, Any], share: float = FIRST) -> float:
    """Share of the errors at the first spots of the queue, as many as that share of the decisions."""
    return float(sum(oracle["spots"][: max(1, round(share * oracle["n"]))]) / oracle["errors"])


def looks_until_right(curve: list[list[int]]) -> float:
    """Looks after which nothing is wrong; NaN where that was not reached."""
    return float(curve[-1][0]) if curve and curve[-1][1] == 0 else np.nan


def removed_by(curve: list[list[int]], n: int, share: float = FIRST) -> float:
    """Share of the errors that is gone after the first looks, with what followed for others; by interpolation."""
    looks, left = np.array(curve, float).T
    return float(1 - np.interp(max(1, round(share * n)), looks, left) / left[0])


def tables(found: Found) -> dict[str, pd.DataFrame]:
    """One row a case: what the first looks find in each order; how long it takes; the bound."""
    orders, bounds, curves = [], [], []
    for case, (oracle, bound) in found.items():
        unit = case.unit
        names = {"tracker": unit.tracker, "movie": unit.movie, "stride": unit.stride, "missed": case.rate}
        names |= {"trained_on": trained_on(unit.movie, unit.tracker)}
        size = {"decisions": oracle["n"], "errors": oracle["errors"]}
        if bound["looks"]:
            bounds.append(names | size | bound)
        if oracle["errors"] < FEWEST_ERRORS:
            continue
        shares = {
            name: found_share(order, oracle["wrong"], oracle["n"])
            for name, order in {"queue": oracle["queue"], **oracle["orders"]}.items()
        }
        orders.append(
            names
            | size
            | {"by_spot": spots_share(oracle)}
            | {"conditioned": removed_by(oracle["curve"], oracle["n"])}
            | shares
            | {"random": FIRST, "looks_until_right": looks_until_right(oracle["curve"])}
        )
        curves += [names | {"looks": looks, "errors_left": left} for looks, left in oracle["curve"]]
    return {
        "review_looks": pd.DataFrame(orders),
        "review_looks_curves": pd.DataFrame(curves),
        "review_looks_bound": pd.DataFrame(bounds),
    }


def write_page(found: Found, n_cases: int, output: Path) -> None:
    """Page and tables; of how many cases these are is said."""
    made = tables(found)
    write_results(
        output, "review_looks", page(made["review_looks"], made["review_looks_bound"], n_cases), made, "%.4f"
    )


def page(orders: pd.DataFrame, bounds: pd.DataFrame, n_cases: int) -> list[str]:
    """What was seen, in words and tables."""
    half = orders["conditioned"] >= 0.5
    fewer = orders["looks_until_right"] < orders["errors"]
    rivals = [name for name in ("confidence", "entropy", "Trackastra's score") if name in orders]
    lines = [
        "# How many looks a review takes, and what it can promise about the rest",
        "",
        "`python -m experiments.review_looks`. A person who is always right goes through the queue of "
        f"`review.csv` on every shared movie (its first {MOST_CELLS:,} cells), at strides 1 and 4, with masks as "
        "annotated and with 5 % of the cells missed (a fifth of it each merged, split and made up). Temperature and "
        "event scores are the defaults, from a prior that has seen these movies; the bundled Transformer was trained "
        f"on some of them (`trained_on`). **{len(bounds)} of {n_cases} cases were run**, the quick ones: these are the "
        "small movies and the coarse frame rates, where decisions are hardest.",
        "",
        f"## The first {FIRST:.0%} of looks",
        "",
        f"{len(orders)} cases have {FEWEST_ERRORS} wrong decisions or more. *By spot*: a look settles one spot of the "
        "queue, a group of up to six cells, and there are as many looks as 5 % of the decisions. In the other columns "
        "a look is one cell. *Conditioned*: the posterior is conditioned on every portion of decisions and the rest "
        "is ranked anew, as `torchtrack-uq review` does; the others are orders made once.",
        "",
        f"- At least half of the errors are gone after the first {FIRST:.0%} of looks in "
        f"**{(orders['by_spot'] >= 0.5).sum()} of {len(orders)}** cases where a look is a spot, in "
        f"**{half.sum()}** where it is a cell. In {(orders['errors'] > 2 * FIRST * orders['decisions']).sum()} cases "
        "more than 10 % of the decisions are wrong, so that no 5 % of cells can hold half of these.",
    ]
    for name in rivals:
        of = orders.dropna(subset=[name])
        better, worse = (
            (of["conditioned"] > of[name] + 1e-9).sum(),
            (of["conditioned"] < of[name] - 1e-9).sum(),
        )
        lines.append(
            f"- Against the order by {name}: more errors gone in {better} of {len(of)} cases, fewer in {worse}."
        )
    lines += [
        f"- More than at random ({FIRST:.0%}) in {(orders['conditioned'] > FIRST).sum()} of {len(orders)}.",
        f"- Everything is right after fewer looks than there were errors at the start in **{fewer.sum()} of"
        f" {len(orders)}** "
        "cases; the last errors are decisions that were very sure, and no order finds these early (median "
        f"{(orders['looks_until_right'] / orders['errors']).median():.1f} looks an error).",
        "",
    ]
    shown = ["by_spot", "conditioned", "queue", *rivals]
    means = orders.groupby(["tracker", "stride", "missed"])[shown].mean().round(2)
    means.insert(0, "cases", orders.groupby(["tracker", "stride", "missed"]).size())
    lines += [means.reset_index().to_markdown(index=False), ""]
    missed = orders[~half | (orders["by_spot"] < 0.5)].sort_values("conditioned")
    if len(missed):
        lines += ["Where it is less than half:", ""]
        columns = [
            "tracker",
            "movie",
            "stride",
            "missed",
            "decisions",
            "errors",
            "by_spot",
            "conditioned",
            *rivals,
        ]
        lines += [missed[columns].round(2).to_markdown(index=False), ""]
    lines += [
        "Every case: [review_looks.csv](review_looks.csv); the curves of errors left against looks: "
        "[review_looks_curves.csv](review_looks_curves.csv).",
        "",
        "## The bound on what nobody looked at",
        "",
        f"{REVIEWS} reviews of each case, of {MOST_LOOKS} looks or a third of the decisions: by turns one "
        "drawn at random and the "
        "next of the queue. *Held*: reviews in which the 95 % bound was never broken at eight times. "
        "Beside it a plain audit, all "
        "looks drawn at random: with the same bound, and with the exact one for a size that was fixed beforehand.",
        "",
        f"- It held in at least 95 % of the reviews in **{(bounds['held'] >= 0.95).sum()} of "
        f"{len(bounds)}** cases (least "
        f"{bounds['held'].min():.1%}).",
        "- Size, mean over cases, as a share of what is left: "
        f"{bounds['bound'].mean():.2%} where {bounds['wrong_left'].mean():.2%} are wrong; after a plain audit "
        f"{bounds['audit_bound'].mean():.2%} ({bounds['audit_bound_fixed'].mean():.2%} with a fixed size) where "
        f"{bounds['wrong_after_audit'].mean():.2%} are.",
        f"- The mixed review has the smaller bound in {(bounds['bound'] < bounds['audit_bound']).sum()} of "
        f"{len(bounds)} cases: "
        "where errors are many its other half removes them; where there are hardly any, a look that was "
        "chosen is one that "
        "proves nothing.",
        "",
    ]
    by = bounds.assign(
        **{"errors are": np.where(bounds["wrong_after_audit"] >= 0.02, "2 % or more", "fewer")}
    )
    shown = ["held", "bound", "wrong_left", "audit_bound", "audit_bound_fixed", "wrong_after_audit"]
    table = by.groupby(["errors are", "stride"])[shown].mean().round(4)
    table.insert(0, "cases", by.groupby(["errors are", "stride"]).size())
    lines += [table.reset_index().to_markdown(index=False), ""]
    lines += ["Every case: [review_looks_bound.csv](review_looks_bound.csv).", "", describe_machine(), ""]
    return lines
