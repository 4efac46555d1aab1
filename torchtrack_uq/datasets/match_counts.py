"""How the detections of a segmentation and annotated cells match, in numbers."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MatchCounts:
    """How detections and annotated cells match, frame by frame; each (T,) int64.

    Attributes:
        n_matched: Detections that cover one annotated cell.
        n_merges: Detections that cover several; each stands for the one that it shares most pixels with.
        n_unmatched: Detections that cover none: false positives, or cells that nobody annotated.
        n_annotated: Annotated cells.
        n_missed: Annotated cells that no detection covers.
        n_splits: Annotated cells in which two or more detections lie with more than half of their own pixels.
    """

    n_matched: NDArray[np.int64]
    n_merges: NDArray[np.int64]
    n_unmatched: NDArray[np.int64]
    n_annotated: NDArray[np.int64]
    n_missed: NDArray[np.int64]
    n_splits: NDArray[np.int64]

    def of_frames(self, kept: NDArray[np.int64]) -> "MatchCounts":
        """The counts of some frames."""
        return MatchCounts(*(getattr(self, item.name)[kept] for item in fields(self)))

    def total(self) -> dict[str, int]:
        """Sums over all frames."""
        return {item.name: int(getattr(self, item.name).sum()) for item in fields(self)}
