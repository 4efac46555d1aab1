"""A tracker by distance whose links may skip frames, as plain as can be."""

from typing import ClassVar

import numpy as np
from scipy.spatial import cKDTree

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie


class GapTracker:
    """Minus half the squared distance in units of `scale * sqrt(gap)`, less `miss` for each frame that is skipped."""

    name: ClassVar[str] = "gaps"

    def __init__(self, max_gap: int = 2, scale: float = 5.0, radius: float = 30.0, miss: float = 3.0) -> None:
        self.max_gap, self.scale, self.radius, self.miss = max_gap, scale, radius, miss

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Links to all cells within `radius * sqrt(gap)` pixels."""
        mother, daughter, score = [], [], []
        for t in range(1, detections.n_frames):
            later = detections.in_frame(t)
            for gap in range(1, min(self.max_gap, t) + 1):
                earlier = detections.in_frame(t - gap)
                tree = cKDTree(detections.coords[earlier])
                near = tree.query_ball_point(detections.coords[later], self.radius * gap**0.5)
                for j, found in enumerate(near):
                    for i in found:
                        apart = detections.coords[earlier][i] - detections.coords[later][j]
                        mother.append(earlier.start + i)
                        daughter.append(later.start + j)
                        spread = 2 * gap * self.scale**2
                        score.append(-float(apart @ apart) / spread - np.log(gap) - (gap - 1) * self.miss)
        return CandidateGraph.from_links(
            detections,
            np.array(mother, dtype=np.int64),
            np.array(daughter, dtype=np.int64),
            np.array(score, dtype=np.float64),
            appear=-6.0,
            disappear=-6.0,
            divide=-3.0,
            max_gap=self.max_gap,
        )
