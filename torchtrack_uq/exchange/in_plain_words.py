"""What is doubtful in another tracker's result, in a few lines."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.results.in_words import DOUBTFUL_BELOW
from torchtrack_uq.results.tracking_result import TrackingResult

_PLURAL = {"link": "links", "start": "starts", "end": "ends", "division": "divisions"}
_N_FIRST = 3


def doubts_in_words(
    tracks: TrackTable, unmatched: str, decisions: pd.DataFrame, result: TrackingResult
) -> str:
    """How many links, how many of them are expected to be wrong, which to look at first.

    Args:
        tracks: What was read.
        unmatched: What of it is no cell of the masks, in words.
        decisions: As `ScoredTracks.decisions`.
        result: Whose probabilities these are.
    """
    counts = decisions["kind"].value_counts()
    held = ", ".join(f"{counts.get(kind, 0)} {plural}" for kind, plural in _PLURAL.items())
    known = "" if result.prior is None else "; T and event scores from other movies"
    scored = f"{result.tracker}, {result.probabilities.method}, T = {result.temperature:.3g}{known}"
    lines = [f"{len(tracks)} spots: {held} to judge ({scored})"]
    lines += [f"on reading: {note}" for note in tracks.notes]
    if unmatched:
        lines.append(unmatched)
    judged = decisions[decisions["probability"].notna()]
    expected = (1 - judged["probability"]).groupby(judged["kind"]).sum()
    parts = [
        f"{expected[kind]:.1f} of {(judged['kind'] == kind).sum()} {_PLURAL[kind]}"
        for kind in _PLURAL
        if kind in expected
    ]
    if parts:
        lines.append(f"expected to be wrong: {', '.join(parts)}")
    for reason, n in decisions.loc[decisions["kind"] == "link", "reason"].value_counts().items():
        if reason:
            lines.append(
                f"{n} link{'' if n == 1 else 's'}: {reason}"
                + (" (probability 0)" if "candidate" in str(reason) else "")
            )
    worst = judged[judged["probability"] < DOUBTFUL_BELOW].head(_N_FIRST)
    lines += [f"look first at {_in_words(row)}" for row in worst.to_dict("records")]
    if not len(worst):
        lines.append(f"nothing has a probability below {DOUBTFUL_BELOW:g}")
    return "\n".join(lines)


def _in_words(row: Mapping[Hashable, Any]) -> str:
    cell = f"cell {row['label']} in frame {row['frame']}"
    what = {
        "link": f"the link of {cell} to {row['mother']} in frame {row['mother_frame']}",
        "start": f"the start of {cell}",
        "end": f"the end of {cell}",
        "division": f"the division of {cell}",
    }[str(row["kind"])]
    alternative = ""
    if row["alternative"]:
        which = (
            f" {row['alternative_label']} in frame {row['alternative_frame']}"
            if pd.notna(row["alternative_label"])
            else ""
        )
        alternative = f"; {row['alternative']}{which}: {row['alternative_probability']:.2g}"
    return f"{what}, probability {row['probability']:.2g}{alternative}"
