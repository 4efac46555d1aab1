"""How much the masks of consecutive frames overlap, cell by cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.measure import index_regions
from torchtrack_uq.movie import Movie
from torchtrack_uq.progress import with_progress

_LARGEST_TABLE = 1 << 20  # above it, sorting the pairs is cheaper than counting them in a table


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
    # Cell of the frame before at every pixel, counted from 1.
    previous = np.zeros(int(np.prod(movie.frame_shape)), np.int32)
    previous_where = np.zeros(0, np.int64)
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
        a, b, shared = count_pairs(behind[both] - 1, cell[both], len(previous_area), len(label))
        parts.append(
            (a + (cells.start - len(previous_area)), b + cells.start, shared, previous_area[a], area[b])
        )
        previous[previous_where] = 0
        previous[where] = cell + 1
        previous_where, previous_area = where, area
    return Overlaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def count_pairs(
    a: NDArray[np.integer], b: NDArray[np.integer], n_a: int, n_b: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct pairs (a, b), sorted, and how often each occurs."""
    key = a.astype(np.int64) * n_b + b
    if n_a * n_b <= _LARGEST_TABLE:
        table = np.bincount(key)
        pair = np.flatnonzero(table)
        counts = table[pair]
    else:
        pair, counts = np.unique(key, return_counts=True)
    first, second = np.divmod(pair, max(n_b, 1))
    return first, second, counts.astype(np.int64)
