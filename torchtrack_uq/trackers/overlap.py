"""Linking by overlap of the masks, as LapTrack does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import count_pairs, index_cells
from torchtrack_uq.perturb import FrameCopies, PerturbedCopies
from torchtrack_uq.trackers.neighbours import neighbour_links
from torchtrack_uq.utils.progress import with_progress


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


Coefficients = tuple[float, float, float, float, float]


class OverlapTracker:
    """Score of a link = -(overlap cost) / scale, for cells whose masks overlap, and for the nearest that do not.

    The cost is that of LapTrack (Fukai and Kawaguchi, Bioinformatics 39, 2023):
    offset + c1 |A∩B| + c2 |A∩B|/|A∪B| + c3 |A∩B|/|A| + c4 |A∩B|/|B| for mother A and daughter B. The nearest
    mothers without overlap are candidates of cost `offset`, which is more than having no mother costs, so they
    are never chosen; without them the tracker would be certain that a fast cell appeared.

    Args:
        coefficients: (offset, c1, c2, c3, c4); by default (1, 0, 0, 0, -1), that is 1 - |A∩B|/|B|.
        cutoff: Cost of a cell without mother; LapTrack's default.
        scale: Cost difference that changes the odds by a factor e; sets how sure the scores are, not which
            links are best.
        disappear: Score of a cell without daughter.
        divide: Score of a cell with two daughters; -inf forbids divisions.
        n_apart: How many of the nearest mothers of a daughter are candidates even if they do not overlap it, as
            long as `offset` exceeds `cutoff`; 0 for none, as in LapTrack.

    Raises:
        InputError: A scale that is not positive, not five coefficients, or a negative n_apart.
    """

    name = "overlap"

    def __init__(
        self,
        coefficients: Coefficients = (1.0, 0.0, 0.0, 0.0, -1.0),
        cutoff: float = 0.9,
        scale: float = 0.1,
        disappear: float = 0.0,
        divide: float = 0.0,
        n_apart: int = 3,
    ) -> None:
        if n_apart < 0:
            raise InputError(f"n_apart must be at least 0, got {n_apart}")
        if len(coefficients) != 5:
            raise InputError(
                f"coefficients must be five numbers (offset, overlap, IoU, share of mother, share of daughter), "
                f"got {coefficients}"
            )
        if not scale > 0:
            raise InputError(f"scale must be positive, got {scale}")
        self.coefficients, self.cutoff, self.scale = coefficients, cutoff, scale
        self.disappear, self.divide, self.n_apart = disappear, divide, n_apart

    def cost(self, overlaps: Overlaps) -> NDArray[np.float64]:
        """(E,) LapTrack's overlap cost of every overlapping pair."""
        offset, shared, iou, mother_share, daughter_share = self.coefficients
        return (
            offset
            + shared * overlaps.shared
            + iou * overlaps.iou
            + mother_share * overlaps.mother_share
            + daughter_share * overlaps.daughter_share
        )

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score all overlapping pairs and the nearest others; needs the movie's masks."""
        return self._score(detections, measure_overlaps(_given(movie), detections, progress=progress))

    def candidates_of_copies(
        self,
        detections: Detections,
        movie: Movie | None,
        copies: PerturbedCopies,
        *,
        progress: bool = True,
    ) -> list[CandidateGraph]:
        """Score perturbed copies of a movie, whose masks are read once."""
        _given(movie)
        found = overlaps_of_copies(copies, progress=progress)
        return [self._score(cells, overlaps) for (cells, _), overlaps in zip(copies, found, strict=True)]

    def _score(self, detections: Detections, overlaps: Overlaps) -> CandidateGraph:
        mother, daughter = self._apart(detections, overlaps)
        cost = np.concatenate([self.cost(overlaps), np.full(len(mother), self.coefficients[0])])
        return CandidateGraph.from_links(
            detections,
            np.concatenate([overlaps.mother, mother]),
            np.concatenate([overlaps.daughter, daughter]),
            (-cost / self.scale).astype(np.float32),
            appear=-self.cutoff / self.scale,
            disappear=self.disappear,
            divide=self.divide,
        )

    def _apart(
        self, detections: Detections, overlaps: Overlaps
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Mother and daughter of the nearest pairs that do not overlap."""
        if self.n_apart == 0 or self.coefficients[0] <= self.cutoff:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        mother, daughter, _ = neighbour_links(detections, np.inf, self.n_apart)
        n = len(detections)
        apart = ~np.isin(daughter * n + mother, overlaps.daughter * n + overlaps.mother)
        return mother[apart], daughter[apart]


def _given(movie: Movie | None) -> Movie:
    if movie is None:
        raise InputError(
            "OverlapTracker compares masks: give it the movie, or use DistanceTracker for points"
        )
    return movie
