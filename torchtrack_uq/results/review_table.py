"""Cells in the order in which a person should look at them."""

import numpy as np
import pandas as pd

from torchtrack_uq.results.in_words import TrackedCells


def review_table(result: TrackedCells, n: int | None = None) -> pd.DataFrame:
    """See `TrackingResult.review`."""
    linked = result.mother >= 0
    cells = result.detections
    mother = cells.naming.or_none(cells.label, result.mother)
    mother_frame = pd.Series(cells.frame_number[result.mother], dtype="Int64").mask(~linked)
    table = result.cells.assign(
        cell=np.arange(len(cells)),
        mother=mother,
        mother_frame=mother_frame,
        probability=result.decision_probability,
        doubt=result.doubts.doubt,
        reason=result.doubts.reason,
    )
    axes = list("zyx"[-cells.ndim :])
    names = ["cell", "frame", "label", "track", "entropy", "mother", "probability", *axes]
    table = table[[*names, "mother_frame", "doubt", "reason"]]
    listed = (cells.frame > 0) & ~result.accepted
    if result.decided is not None:
        listed &= ~result.decided
    ranked = table[listed].sort_values(["doubt", "entropy"], ascending=False, kind="stable")
    return ranked.reset_index(drop=True).head(len(ranked) if n is None else n)
