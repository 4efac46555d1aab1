"""The tables that `experiments.small_2d.train` writes."""

from collections.abc import Sequence

import pandas as pd

PARTS = {
    "later": "Later frames of the movies trained on (their last 15 %, never trained on)",
    "unseen": "Movies never seen in training, all frames",
    "unseen_last": "Movies never seen in training, their last 20 % of frames alone",
}
RULES = ("nearest", "nearest_in_range", "overlap")
STRIDES = (1, 2, 4, 8)


def as_markdown(table: pd.DataFrame, ranges: dict[int, float], models: Sequence[str]) -> str:
    """All parts, with means over movies, and models with and without images."""
    fitted = ", ".join(f"{longest:.1f} at stride {stride}" for stride, longest in ranges.items())
    lines = [
        "# Links of small models, judged",
        "",
        "Share of daughters with the right mother, or rightly none, over all phases of each stride; in brackets, of",
        "the daughters that truly have a mother. Written by `python -m experiments.small_2d.train`.",
        "*nearest*: nearest centroid, always linked. *nearest in range*: none if farther than a multiple of the",
        f"daughter's diameter, fitted on the training frames: {fitted}.",
        "*overlap*: mask with the largest overlap, none where nothing overlaps. Bold: best of the row. *NLL*: mean",
        "-log P(truth) in nats by parental softmax at T = 1, of the daughters whose true mother is a candidate.",
    ]
    for part, title in PARTS.items():
        lines += ["", f"## {title}", "", *_part(table[table["part"] == part], models)]
    lines += ["", "## With and without images", "", "The same models, all daughters; parts as above.", ""]
    lines += ["| part | movie | stride | model | with image | without |", "|---|---|---|---|---|---|"]
    for _, row in table.iterrows():
        for model in models:
            if pd.notna(row.get(f"{model}_no_image")) and row["part"] != "unseen_last":
                shares = f"{row[model]:.4f} | {row[f'{model}_no_image']:.4f}"
                lines.append(f"| {row['part']} | {row['movie']} | {row['stride']} | {model} | {shares} |")
    return "\n".join(lines) + "\n"


def _part(table: pd.DataFrame, models: Sequence[str]) -> list[str]:
    heads = ["movie", "stride", "daughters", *(name.replace("_", " ") for name in RULES)]
    heads[3:3] = [name for model in models for name in (model, f"{model} NLL")]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for _, row in table[table["n_daughters"] > 0].iterrows():
        lines.append(_row(row["movie"], str(row["stride"]), str(row["n_daughters"]), row, models))
    numbers = table.drop(columns=["movie", "part"])
    for strides in [*((stride,) for stride in STRIDES), (1, 2, 4), STRIDES]:
        part = numbers[numbers["stride"].isin(strides)]
        count = str(int(part["n_daughters"].sum()))
        lines.append(_row("**mean over movies**", ", ".join(map(str, strides)), count, part.mean(), models))
    return lines


def _row(label: str, stride: str, daughters: str, shares: pd.Series, models: Sequence[str]) -> str:
    best = f"{max(shares[name] for name in (*models, *RULES)):.4f}"

    def share(name: str) -> str:
        text = f"{shares[name]:.4f}"
        text = f"**{text}**" if text == best else text
        return f"{text} ({shares[f'{name}_with_mother']:.4f})"

    of_models = [text for name in models for text in (share(name), f"{shares[f'{name}_nll']:.4f}")]
    return f"| {' | '.join([label, stride, daughters, *of_models, *map(share, RULES)])} |"
