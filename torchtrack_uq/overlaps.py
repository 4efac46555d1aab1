"""How much the masks of consecutive frames overlap, cell by cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.measure import index_regions
from torchtrack_uq.movie import Movie
from torchtrack_uq.progress import with_progress


@dataclass(frozen=True)
class Overlaps:
    """Every pair of cells of consecutive frames whose masks share a pixel; E pairs.

    Attributes:
        mother: (E,) int64, index of the earlier cell (A).
        daughter: (E,) int64, index of the later cell (B).
        shared: (E,) int64, pixels in both.
        mother_area: (E,) int64, pixels of A.
        daughter_area: (E,) int64, pixels of B.
    """

    mother: NDArray[np.int64]
    daughter: NDArray[np.int64]
    shared: NDArray[np.int64]
    mother_area: NDArray[np.int64]
    daughter_area: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """(E,) intersection over union."""
        return self.shared / (self.mother_area + self.daughter_area - self.shared)

    @property
    def mother_share(self) -> NDArray[np.float64]:
        """(E,) share of A that B covers: LapTrack's `ratio_1`."""
        return self.shared / self.mother_area

    @property
    def daughter_share(self) -> NDArray[np.float64]:
        """(E,) share of B that A covers: LapTrack's `ratio_2`."""
        return self.shared / self.daughter_area


def measure_overlaps(movie: Movie, detections: Detections, *, progress: bool = True) -> Overlaps:
    """Count shared pixels between consecutive masks, holding two frames at a time.

    Raises:
        InputError: The masks hold other cells than `detections`.
    """
    parts: list[tuple[NDArray[np.int64], ...]] = []
    previous = np.zeros(int(np.prod(movie.frame_shape)), np.int64)
    previous_area = np.zeros(0, np.int64)
    for t in with_progress(range(movie.n_frames), "Measuring overlaps", show=progress):
        where, label, cell = index_regions(movie.read_mask(t))
        cells = detections.in_frame(t)
        if not np.array_equal(label, detections.label[cells]):
            raise InputError(
                f"{movie.masks.name} holds other cells in frame {t} than the detections; "
                "expected the masks that the detections were measured on"
            )
        area = np.bincount(cell, minlength=len(label))
        behind = previous[where]
        both = behind > 0
        pair, shared = np.unique((behind[both] - 1) * len(label) + cell[both], return_counts=True)
        if len(pair):
            a, b = np.divmod(pair, len(label))
            mother = a + detections.in_frame(t - 1).start
            parts.append((mother, b + cells.start, shared, previous_area[a], area[b]))
        previous = np.zeros_like(previous)
        previous[where] = cell + 1
        previous_area = area
    columns = zip(*parts, strict=True) if parts else [[np.zeros(0, np.int64)]] * 5
    return Overlaps(*(np.concatenate(column).astype(np.int64) for column in columns))
