"""How much the masks of consecutive frames overlap, cell by cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.detections import Detections
from torchtrack_uq.movie import Movie
from torchtrack_uq.perturb import FrameCopies, PerturbedCopies
from torchtrack_uq.progress import with_progress
from torchtrack_uq.regions import count_pairs, index_cells


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
        where, cell = index_cells(movie, detections, t)
        cells = detections.in_frame(t)
        n_cells = cells.stop - cells.start
        area = np.bincount(cell, minlength=n_cells)
        behind = previous[where]
        both = behind > 0
        a, b, shared = count_pairs(behind[both] - 1, cell[both], len(previous_area), n_cells)
        parts.append(
            (a + (cells.start - len(previous_area)), b + cells.start, shared, previous_area[a], area[b])
        )
        previous[previous_where] = 0
        previous[where] = cell + 1
        previous_where, previous_area = where, area
    return Overlaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def overlaps_of_copies(copies: PerturbedCopies, *, progress: bool = True) -> list[Overlaps]:
    """What `measure_overlaps` finds in each of R copies of a movie, from one pass over its frames.

    Holds two frames and, of all copies, the pixels near boundaries in them.

    Raises:
        InputError: The masks hold other cells than the detections.
    """
    parts: list[list[tuple[NDArray[np.int64], ...]]] = [[] for _ in range(len(copies))]
    previous: tuple[FrameCopies, NDArray[np.int64]] | None = None
    start = 0  # of the cells of the frame before
    for frame in with_progress(copies.frames(), "Measuring overlaps", total=copies.n_frames, show=progress):
        area = frame.areas()
        if previous is not None:
            before, area_before = previous
            a, b, shared = before.shared(frame)
            for r, found in enumerate(parts):
                pair = np.flatnonzero(shared[:, r])
                mother, daughter = a[pair], b[pair]
                found.append(
                    (
                        mother + start,
                        daughter + start + before.n_cells,
                        shared[pair, r],
                        area_before[mother, r],
                        area[daughter, r],
                    )
                )
            start += before.n_cells
        previous = frame, area
    return [Overlaps(*(np.concatenate(column) for column in zip(*found, strict=True))) for found in parts]
