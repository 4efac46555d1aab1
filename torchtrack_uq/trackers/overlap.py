"""Linking by overlap of the masks, as LapTrack does."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import count_pairs, index_cells
from torchtrack_uq.perturb import FrameCopies, PerturbedCopies
from torchtrack_uq.trackers.gaps import check_miss
from torchtrack_uq.trackers.neighbours import neighbour_links
from torchtrack_uq.utils.crew import SHARES, spans
from torchtrack_uq.utils.progress import with_progress


@dataclass(frozen=True)
class Overlaps:
    """Pairs of cells of two frames whose masks share a pixel; E pairs.

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
    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """All of them."""
        return self.mother, self.daughter, self.shared, self.mother_area, self.daughter_area

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


def measure_overlaps(
    movie: Movie,
    detections: Detections,
    *,
    max_gap: int = 1,
    frames: range | None = None,
    progress: bool = True,
) -> Overlaps:
    """Count shared pixels between masks up to `max_gap` frames apart, holding as many frames and one more.

    Args:
        movie: Masks.
        detections: Their cells.
        max_gap: How many frames apart.
        frames: Those of the later cells; all by default.
        progress: Whether to show a progress bar.

    Raises:
        InputError: The masks hold other cells than `detections`, or `max_gap` is below 1.
    """
    check_max_gap(max_gap)
    parts: list[tuple[NDArray[np.int64], ...]] = []
    earlier: deque[_Mask] = deque(maxlen=max_gap)  # the nearest first
    # Cell of an earlier frame at every pixel, counted from 1.
    behind = np.zeros(int(np.prod(movie.frame_shape)), np.int32)
    first, end = (0, movie.n_frames) if frames is None else (frames.start, frames.stop)
    for t in with_progress(range(max(first - max_gap, 0), end), "Measuring overlaps", show=progress):
        where, cell = index_cells(movie, detections, t)
        cells = detections.in_frame(t)
        n_cells = cells.stop - cells.start
        now = _Mask(where, cell, np.bincount(cell, minlength=n_cells), cells.start)
        for before in earlier if t >= first else ():
            behind[before.where] = before.cell + 1
            owner = behind[where]
            both = owner > 0
            a, b, shared = count_pairs(owner[both] - 1, cell[both], len(before.area), n_cells)
            parts.append((a + before.first, b + now.first, shared, before.area[a], now.area[b]))
            behind[before.where] = 0
        earlier.appendleft(now)
    return _joined(parts)


class _Mask(NamedTuple):
    """The foreground of a frame: flat positions, the cell of each, pixels of each cell, index of the first cell."""

    where: NDArray[np.int64]
    cell: NDArray[np.int64]
    area: NDArray[np.int64]
    first: int


def overlaps_of_copies(copies: PerturbedCopies, *, max_gap: int = 1, progress: bool = True) -> list[Overlaps]:
    """What `measure_overlaps` finds in each of R copies of a movie, from one pass over its frames.

    Holds `max_gap` frames and one more and, of all copies, the pixels near boundaries in them.

    Raises:
        InputError: The masks hold other cells than the detections, or `max_gap` is below 1.
    """
    check_max_gap(max_gap)
    parts: list[list[tuple[NDArray[np.int64], ...]]] = [[] for _ in range(len(copies))]
    earlier: deque[tuple[FrameCopies, NDArray[np.int64], int]] = deque(maxlen=max_gap)  # the nearest first
    first = 0  # of the cells of this frame
    for frame in with_progress(copies.frames(), "Measuring overlaps", total=copies.n_frames, show=progress):
        area = frame.areas()
        for before, area_before, first_before in earlier:
            a, b, shared = before.shared(frame)
            for r, found in enumerate(parts):
                pair = np.flatnonzero(shared[:, r])
                mother, daughter = a[pair], b[pair]
                found.append(
                    (
                        mother + first_before,
                        daughter + first,
                        shared[pair, r],
                        area_before[mother, r],
                        area[daughter, r],
                    )
                )
        earlier.appendleft((frame, area, first))
        first += frame.n_cells
    return [_joined(found) for found in parts]


def _joined(parts: list[tuple[NDArray[np.int64], ...]]) -> Overlaps:
    if not parts:  # a single frame
        return Overlaps(*(np.zeros(0, np.int64) for _ in range(5)))
    return Overlaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


Coefficients = tuple[float, float, float, float, float]


class OverlapTracker:
    """Score of a link = -(overlap cost) / scale, for cells whose masks overlap, and for the nearest that do not.

    The cost is that of LapTrack (Fukai and Kawaguchi, Bioinformatics 39, 2023):
    offset + c1 |A∩B| + c2 |A∩B|/|A∪B| + c3 |A∩B|/|A| + c4 |A∩B|/|B| for mother A and daughter B. The nearest
    mothers without overlap are candidates of cost `offset`, which is more than having no mother costs, so they
    are never chosen; without them the tracker would be certain that a fast cell appeared.

    It works in 2D and in 3D. Shares count voxels, of which each has the same volume, thick or not; which mothers are
    nearest is found in space (`Detections.isotropic_coords`).

    Args:
        coefficients: (offset, c1, c2, c3, c4); by default (1, 0, 0, 0, -1), that is 1 - |A∩B|/|B|.
        cutoff: Cost of a cell without mother; LapTrack's default.
        scale: Cost difference that changes the odds by a factor e; sets how sure the scores are, not which
            links are best.
        disappear: Score of a cell without daughter.
        divide: Score of a cell with two daughters; -inf forbids divisions.
        n_apart: How many of the nearest mothers of a daughter are candidates even if they do not overlap it, as
            long as `offset` exceeds `cutoff`; 0 for none, as in LapTrack. So many in each of the frames before.
        max_gap: How many frames a link may span; 1 for consecutive frames only.
        miss: Score of a cell being missed in a frame. The default was best on average over masks as annotated and
            masks with 5 % of the cells deleted, of -1, -2, ... -6 and -8 (mean NLL of `auto` at T = 1 over seven movies
            at every and every fourth frame: .263; without links over gaps .464).

    Raises:
        InputError: A scale that is not positive, not five coefficients, a negative n_apart, or a max_gap or miss that
            cannot be.
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
        max_gap: int = 1,
        miss: float = -6.0,
    ) -> None:
        check_max_gap(max_gap)
        check_miss(miss)
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
        self.max_gap, self.miss = max_gap, miss

    @property
    def default_events(self) -> bool:
        """Whether scores are the default ones, which `torchtrack_uq.calibration.movie_prior` knows."""
        return vars(self) == vars(type(self)()) | {"max_gap": self.max_gap, "n_apart": self.n_apart}

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
        overlaps = measure_overlaps(_given(movie), detections, max_gap=self.max_gap, progress=progress)
        return self._score(detections, overlaps)

    def shares(self, detections: Detections, n: int) -> list[range]:
        """Frames of the daughters; see `DivisibleTracker`."""
        return spans(detections.n_frames, 1 if n == 1 else SHARES * n, least=4 * self.max_gap)

    def score_share(self, detections: Detections, movie: Movie | None, share: range) -> Overlaps:
        """The overlaps of some frames' cells."""
        return measure_overlaps(_given(movie), detections, max_gap=self.max_gap, frames=share, progress=False)

    def join_shares(
        self, detections: Detections, movie: Movie | None, parts: Iterable[Overlaps]
    ) -> CandidateGraph:
        """The links of a movie from the overlaps of all its frames."""
        return self._score(detections, _joined([part.columns for part in parts]))

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
        found = overlaps_of_copies(copies, max_gap=self.max_gap, progress=progress)
        return [self._score(cells, overlaps) for (cells, _), overlaps in zip(copies, found, strict=True)]

    def _score(self, detections: Detections, overlaps: Overlaps) -> CandidateGraph:
        apart = self._apart(detections, overlaps)
        mother, daughter = (
            np.concatenate(pair) for pair in zip((overlaps.mother, overlaps.daughter), apart, strict=True)
        )
        cost = np.concatenate([self.cost(overlaps), np.full(len(apart[0]), self.coefficients[0])])
        gap = detections.frame[daughter] - detections.frame[mother]
        return CandidateGraph.from_links(
            detections,
            mother,
            daughter,
            (-cost / self.scale + (gap - 1) * self.miss).astype(np.float32),
            appear=-self.cutoff / self.scale,
            disappear=self.disappear,
            divide=self.divide,
            max_gap=self.max_gap,
        )

    def _apart(
        self, detections: Detections, overlaps: Overlaps
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Mother and daughter of the nearest pairs that do not overlap."""
        if self.n_apart == 0 or self.coefficients[0] <= self.cutoff:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        mother, daughter, _ = neighbour_links(detections, np.inf, self.n_apart, self.max_gap)
        n = len(detections)
        apart = ~np.isin(daughter * n + mother, overlaps.daughter * n + overlaps.mother)
        return mother[apart], daughter[apart]


def _given(movie: Movie | None) -> Movie:
    if movie is None:
        raise InputError(
            "OverlapTracker compares masks: give it the movie, or use DistanceTracker for points"
        )
    return movie
