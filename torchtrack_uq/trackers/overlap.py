"""Linking by overlap of the masks, as LapTrack does."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.movie import Movie
from torchtrack_uq.neighbours import neighbour_links
from torchtrack_uq.overlaps import Overlaps, measure_overlaps, overlaps_of_copies
from torchtrack_uq.perturb import PerturbedCopies

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
