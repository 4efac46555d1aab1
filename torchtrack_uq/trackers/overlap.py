"""Linking by overlap of the masks, as LapTrack does."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.movie import Movie
from torchtrack_uq.overlaps import Overlaps, measure_overlaps

Coefficients = tuple[float, float, float, float, float]


class OverlapTracker:
    """Score of a link = -(overlap cost) / scale, for cells whose masks overlap.

    The cost is that of LapTrack (Fukai and Kawaguchi, Bioinformatics 39, 2023):
    offset + c1 |A∩B| + c2 |A∩B|/|A∪B| + c3 |A∩B|/|A| + c4 |A∩B|/|B| for mother A and daughter B.

    Args:
        coefficients: (offset, c1, c2, c3, c4); by default (1, 0, 0, 0, -1), that is 1 - |A∩B|/|B|.
        cutoff: Cost of a cell without mother; LapTrack's default.
        scale: Cost difference that changes the odds by a factor e; sets how sure the scores are, not which
            links are best.
        disappear: Score of a cell without daughter.
        divide: Score of a cell with two daughters; -inf forbids divisions.

    Raises:
        InputError: A scale that is not positive, or not five coefficients.
    """

    name = "overlap"

    def __init__(
        self,
        coefficients: Coefficients = (1.0, 0.0, 0.0, 0.0, -1.0),
        cutoff: float = 0.9,
        scale: float = 0.1,
        disappear: float = 0.0,
        divide: float = 0.0,
    ) -> None:
        if len(coefficients) != 5:
            raise InputError(
                f"coefficients must be five numbers (offset, overlap, IoU, share of mother, share of daughter), "
                f"got {coefficients}"
            )
        if not scale > 0:
            raise InputError(f"scale must be positive, got {scale}")
        self.coefficients, self.cutoff, self.scale = coefficients, cutoff, scale
        self.disappear, self.divide = disappear, divide

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
        """Score all overlapping pairs; needs the movie's masks."""
        if movie is None:
            raise InputError(
                "OverlapTracker compares masks: give it the movie, or use DistanceTracker for points"
            )
        overlaps = measure_overlaps(movie, detections, progress=progress)
        return CandidateGraph.from_links(
            detections,
            overlaps.mother,
            overlaps.daughter,
            (-self.cost(overlaps) / self.scale).astype(np.float32),
            appear=-self.cutoff / self.scale,
            disappear=self.disappear,
            divide=self.divide,
        )
