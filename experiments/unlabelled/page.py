"""The page on what was tried to improve on a prior's mean without labels."""

import pandas as pd

from benchmarks.machine import describe_machine

NOISE = 0.025
CUT = 3
SHOWN = ("common scale, one look", "common scale, own looks", "own scale, one look", "own scale, own looks")


def summary(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over movies, and on how many the NLL rose or fell by more than noise (one-sided 2.5 % each)."""
    table = table.assign(better=(table["p_worse"] > 1 - NOISE) & (table["change"] < 0))
    grouped = table.groupby(keys, sort=False, dropna=False)
    found = grouped[["nll", "ece", "accuracy", "change"]].mean()
    found["se"] = grouped["change"].sem()
    found["worse"] = grouped["p_worse"].apply(lambda p: int((p < NOISE).sum()))
    found["better"] = grouped["better"].sum()
    found["of"] = grouped.size()
    found["worst"], found["best"] = grouped["change"].max(), grouped["change"].min()
    return found.reset_index()


def _markdown(table: pd.DataFrame) -> str:
    signed = {"change", "worst", "best"}
    formats = [
        "+.4f" if name in signed else ".4f" if name in {"nll", "ece", "accuracy", "se"} else "g"
        for name in table
    ]
    return str(table.to_markdown(index=False, floatfmt=tuple(formats)))


def by_movie(table: pd.DataFrame, ways: list[str]) -> str:
    """NLL of some ways, a row a movie."""
    chosen = table[table["how"].isin(ways)]
    wide = chosen.pivot_table(index=["movie", "stride", "rate"], columns="how", values="nll")
    return str(wide[ways].reset_index().to_markdown(index=False, floatfmt=".3f"))


def page(table: pd.DataFrame, text: dict[str, str]) -> list[str]:
    """Lines of Markdown.

    Args:
        table: All rows, with a column `question`.
        text: What was found, by question, and as a whole under "".
    """
    parts = dict(iter(table.groupby("question")))
    drift, fits, floor = parts["drift"], parts["fits"], parts["floor"]
    evidence, looks, whole = parts["evidence"], parts["looks"], parts["whole"]
    text = {question: " ".join(words.split()) for question, words in text.items()}
    last = evidence[evidence["round"].isin([0, evidence["round"].max()])]
    first = evidence[evidence["round"].isin([0, 1])]
    best = "all but T and division, worth 100 daughters"
    return [
        "# Without labels: looks that follow the movie, a floor for surprise, and the movie's own evidence",
        "",
        text[""],
        "",
        describe_machine(),
        "",
        "## Looks that follow the movie",
        "",
        text["drift"],
        "",
        _markdown(summary(drift, ["cut", "how"])),
        "",
        _markdown(summary(drift, ["rate", "stride", "how"])),
        "",
        "### Single movies, cut in three",
        "",
        by_movie(drift[drift["cut"] == CUT], list(SHOWN)),
        "",
        "### Displacements that follow the movie, on whole movies",
        "",
        text["whole"],
        "",
        _markdown(summary(whole, ["how"])),
        "",
        by_movie(whole, list(dict.fromkeys(whole["how"]))),
        "",
        "### Fits to 100 daughters of the first half, judged on the second",
        "",
        text["fits"],
        "",
        _markdown(summary(fits, ["how"])),
        "",
        "## A floor for surprise",
        "",
        text["floor"],
        "",
        _markdown(summary(floor, ["tracker", "how", "share"])),
        "",
        "## The evidence of a movie",
        "",
        text["evidence"],
        "",
        "After one round:",
        "",
        _markdown(summary(first, ["how"])),
        "",
        f"After {int(evidence['round'].max())} rounds:",
        "",
        _markdown(summary(last, ["how"])),
        "",
        "By stride and errors:",
        "",
        _markdown(summary(last[last["how"].isin([best, "all"])], ["how", "stride", "rate"])),
        "",
        "### Single movies",
        "",
        by_movie(last, ["prior's mean", "all", "all but T", best]),
        "",
        "### As a look, weighed as other movies teach",
        "",
        text["looks"],
        "",
        _markdown(summary(looks, ["how"])),
        "",
    ]
