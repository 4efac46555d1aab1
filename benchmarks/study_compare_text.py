"""The section of docs/study.md on comparisons that the paper does not have."""

import pandas as pd
from study_tables import KEY, mean_and_error
from study_units import FITTED

UNIT = ["movie", "stride", "tracker"]


def comparisons(table: pd.DataFrame, seconds: pd.DataFrame) -> list[str]:
    """All of them, each a heading, a sentence and a table."""
    table = table[table["error"].fillna("") == ""]
    table = table.merge(seconds, on=KEY, how="left")
    return [
        *_section(
            table,
            "Exact against AS at K = 10, 100, 1000",
            "Mean over recordings and all strides, Distance and Transformer. *exact pairs*: share of frame pairs "
            "whose probabilities are proved to be right to 0.001.",
            ("AS, K=10", "AS", "AS, K=1000", "auto"),
            ("none", "in time"),
            with_sum=True,
        ),
        *_section(
            table,
            "Trackastra's own scores",
            "Its greedy linker averages quiet-softmax probabilities over windows; what they leave is taken as the "
            "probability of no mother. SM here averages logits.",
            ("Trackastra's own", "SM", "auto"),
            ("none", "in time"),
        ),
        *_section(
            table,
            "Agreement voting",
            "The share of perturbed solutions that agree (u-track3D's idea) is FP+A without its pseudo-count: what "
            "no draw chose is then impossible, which the NLL (floored at 1e-6) punishes.",
            ("vote", "FP+A"),
            ("none", "in time"),
        ),
        *_local(table),
        *_events(table),
    ]


def _section(
    table: pd.DataFrame,
    title: str,
    text: str,
    methods: tuple[str, ...],
    states: tuple[str, ...],
    with_sum: bool = False,
) -> list[str]:
    rows = table[table["method"].isin(methods) & table["ts"].isin(states)]
    complete = rows.groupby(UNIT)["method"].transform("nunique") == len(methods)
    rows = rows[complete]
    if rows.empty:
        return [f"### {title}", "", "Not run.", ""]
    columns = {"nll": "NLL", "ece": "ECE", "brier": "Brier", "accuracy": "accuracy", "aurc_entropy": "AURC"}
    if with_sum:
        columns |= {"exact_share": "exact pairs", "covered_mass": "covered mass"}
    found = []
    for tracker in sorted(rows["tracker"].unique()):
        for ts in states:
            for method in methods:
                part = rows[(rows["tracker"] == tracker) & (rows["ts"] == ts) & (rows["method"] == method)]
                row = {"tracker": tracker, "T": ts, "method": method}
                for column, label in columns.items():
                    row[label] = f"{mean_and_error(part, column, ['method'])['mean'].iloc[0]:.4f}"
                solving = part["seconds_solving"].fillna(0) + part["seconds_posterior"]
                row["seconds a movie"] = f"{solving.mean():.2f}"
                found.append(row)
    return [f"### {title}", "", text, "", pd.DataFrame(found).to_markdown(index=False), ""]


def _local(table: pd.DataFrame) -> list[str]:
    title = "Marginals of a daughter's neighbourhood"
    rows = table[table["method"].isin(("local", "auto, as local"))]
    if rows.empty:
        return [f"### {title}", "", "Not run.", ""]
    found = []
    for (tracker, ts, method), part in rows.groupby(["tracker", "ts", "method"]):
        row = {"tracker": tracker, "T": ts, "method": str(method).replace("auto, as local", "auto")}
        for column, label in (("nll", "NLL"), ("ece", "ECE"), ("accuracy", "accuracy")):
            row[label] = f"{part[column].mean():.4f}"
        is_local = method == "local"
        row["mean error"] = f"{part['error_mean'].mean():.5f}" if is_local else ""
        row["largest error, median"] = f"{part['error_max'].median():.3f}" if is_local else ""
        row["largest error, worst"] = f"{part['error_max'].max():.3f}" if is_local else ""
        row["ms a daughter"] = f"{1000 * part['seconds_posterior'].sum() / part['n_daughters'].sum():.2f}"
        found.append(row)
    text = (
        "Only the assignments of a daughter's neighbourhood are summed over (three steps along plausible links), "
        "the rest of the frame is ignored: an idea of OrganoidTracker 2, written from its description, not its "
        "code. Judged on the first of the frame pairs that are judged; errors are distances of link probabilities from "
        "those of `auto` on the same frame pairs, which itself is exact only where it says so. Mean over units."
    )
    return [f"### {title}", "", text, "", pd.DataFrame(found).to_markdown(index=False), ""]


def _events(table: pd.DataFrame) -> list[str]:
    title = "Fitted event scores"
    fitted = table[(table["method"] == FITTED) & (table["ts"] == "in time")].set_index(UNIT)
    fixed = table[(table["method"] == "auto") & (table["ts"] == "in time")].set_index(UNIT)
    both = fitted.index.intersection(fixed.index)
    if not len(both):
        return [f"### {title}", "", "Not run, or failed everywhere.", ""]
    found = []
    for tracker in sorted(set(both.get_level_values("tracker"))):
        units = [unit for unit in both if unit[2] == tracker]
        for name, rows in (("fixed", fixed), ("fitted", fitted)):
            part = rows.loc[units]
            row = {"tracker": tracker, "event scores": name, "units": len(units)}
            for column in ("nll", "ece", "ece_with_mother", "ece_null", "ece_division", "accuracy"):
                row[column] = f"{part[column].mean():.4f}"
            for event in ("appear", "disappear", "divide"):
                row[event] = f"{part[f'offset_{event}'].median():+.2f}" if name == "fitted" else ""
            found.append(row)
    better = (fitted.loc[both, "nll"] < fixed.loc[both, "nll"]).mean()
    text = (
        "T and constants added to the scores of appearing, disappearing and dividing, fitted by the joint "
        "likelihood on the frame pairs that are fitted on (every k-th where they hold many links), "
        "against T alone. Mean over units; offsets in nats at temperature 1, median. The NLL of the judged frame pairs "
        f"is lower in {better:.0%} of {len(both)} units."
    )
    return [f"### {title}", "", text, "", pd.DataFrame(found).to_markdown(index=False), ""]
