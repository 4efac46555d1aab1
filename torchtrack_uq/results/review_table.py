"""Cells in the order in which a person should look at them."""

import numpy as np
import pandas as pd

from torchtrack_uq.results.in_words import TrackedCells

_COLUMNS = (
    ["cell", "frame", "label", "track", "entropy", "mother", "probability"],
    ["mother_frame", "doubt", "reason"],
)
"""Before the axes and after them."""


def review_table(result: TrackedCells, n: int | None = None) -> pd.DataFrame:
    """See `TrackingResult.review`."""
    cells, doubt = result.detections, result.doubts.doubt
    listed = (cells.frame > 0) & ~result.accepted
    if result.decided is not None:
        listed &= ~result.decided
    table = result.cells
    at = np.flatnonzero(listed)
    at = at[np.lexsort((-table["entropy"].to_numpy()[at], -doubt[at]))][:n]
    chosen = result.mother[at]
    return (
        table.iloc[at]
        .reset_index(drop=True)
        .assign(
            cell=at,
            mother=cells.naming.or_none(cells.label, chosen),
            mother_frame=pd.Series(cells.frame_number[chosen], dtype="Int64").mask(chosen < 0),
            probability=result.decision_probability[at],
            doubt=doubt[at],
            reason=result.doubts.reason_of(at),
        )[_COLUMNS[0] + list("zyx"[-cells.ndim :]) + _COLUMNS[1]]
    )
