"""The table of a result's cells."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.results.doubts import CellDoubts
from torchtrack_uq.results.physical import physical_columns
from torchtrack_uq.results.proof import proof_columns
from torchtrack_uq.results.tracklets import Tracklets


def cells_table(
    detections: Detections,
    tracklets: Tracklets,
    probabilities: LinkProbabilities,
    doubts: CellDoubts,
    accepted: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """One row a cell, with the columns that `TrackingResult.cells` names.

    Args:
        detections: The movie's N cells.
        tracklets: Their tracks.
        probabilities: Of its candidate links and events, on the CPU.
        doubts: What may be wrong with each cell.
        accepted: (N,) decisions that need no review; None makes no such column.
    """
    frame, p = detections.frame, probabilities
    first, last = frame == 0, frame == detections.n_frames - 1

    def known(values: NDArray[np.floating], unknown: NDArray[np.bool_]) -> NDArray[np.floating]:
        return np.where(unknown, np.nan, values).astype(values.dtype)

    table = pd.DataFrame(
        {
            "frame": detections.frame_number,
            "label": detections.name,
            "track": tracklets.track,
            "confidence": known(p.confidence.numpy(), first),
            "entropy": known(p.entropy.numpy(), first),
            "p_appear": known(p.null.numpy(), first),
            "p_divide": known(p.divide.numpy(), last),
            "p_disappear": known(p.disappear.numpy(), last),
            **doubts.columns(),
        }
    )
    for axis, values in zip("zyx"[-detections.ndim :], detections.coords.T, strict=True):
        table[axis] = values.astype(np.float32)  # in digits that mean something
    table = table.assign(**proof_columns(p), **physical_columns(detections))
    if accepted is not None:
        table.insert(3, "accepted", pd.Series(accepted, dtype="boolean").mask(first))
    return table
