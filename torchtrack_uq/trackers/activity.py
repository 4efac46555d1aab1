"""Linking by activity: cells that change a lot between images may move far (Ruzaeva et al. 2022)."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.activity import activity_of_copies, cell_activity, grey_levels
from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.movie import Movie
from torchtrack_uq.neighbours import neighbour_links
from torchtrack_uq.perturb import PerturbedCopies
from torchtrack_uq.trackers.tail import REACH, gaussian_with_tail

PUBLISHED_CONTRAST = 977.0
"""Grey levels of the movie that k was chosen on, from its 1st to its 99.8th percentile."""


class ActivityTracker:
    """Score of a link = log of a Gaussian migration probability whose width is the mother's activity.

    log p(i, j) = -|x_j - x_i|² / (2 sigma_i²) with sigma_i = activity_i / k pixels, where the activity of cell i
    in frame t is the mean of |I_t - I_{t+1}| / 2 inside its mask: Ruzaeva, Cohrs, Kasahara, Kohlheyer, Nöh and
    Berkels, "Cell tracking for live-cell microscopy using an activity-prioritized assignment strategy", IPAS 2022;
    k and the smallest probability as in the code that they published. The probability is not normalised, there as
    here. Their greedy assignment in order of activity is replaced by the MAP and the posterior.

    Their k counts in grey levels of their own movie, whose contrast (1st to 99.8th percentile) is 977 of them.
    Other movies are rescaled to that contrast; a brighter exposure would otherwise make cells move farther.

    Args:
        k: Grey levels of activity per pixel of width.
        smallest: Smallest migration probability of a candidate link; also what a cell without mother has.
        narrowest: Smallest width in pixels, for cells that do not change at all.
        contrast: Grey levels between the 1st and 99.8th percentile of a movie after rescaling; None takes
            grey levels as they are, as the published code does.
        disappear: Score of a cell without daughter.
        divide: Score of a cell with two daughters; -inf forbids divisions.
        reach: Mothers up to this many times farther than where the probability is `smallest` are candidates too,
            less likely than none, see `gaussian_with_tail`; 1 drops them, as the published code does.

    Raises:
        InputError: A k, width or contrast that is not positive, a probability outside (0, 1), a reach below 1.
    """

    name = "activity"

    def __init__(
        self,
        k: float = 2.5,
        smallest: float = 0.01,
        narrowest: float = 0.5,
        contrast: float | None = PUBLISHED_CONTRAST,
        disappear: float = 0.0,
        divide: float = 0.0,
        reach: float = REACH,
    ) -> None:
        if not reach >= 1:
            raise InputError(f"reach must be at least 1, got {reach}")
        if not (k > 0 and narrowest > 0):
            raise InputError(f"k and narrowest must be positive, got {k} and {narrowest}")
        if not 0 < smallest < 1:
            raise InputError(f"smallest must lie between 0 and 1, got {smallest}")
        if contrast is not None and not contrast > 0:
            raise InputError(f"contrast must be positive, got {contrast}")
        self.k, self.smallest, self.narrowest, self.contrast = k, smallest, narrowest, contrast
        self.disappear, self.divide, self.reach = disappear, divide, reach

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score all pairs within reach; needs images.

        Raises:
            InputError: There is no movie, or it has no images.
        """
        movie = _with_images(movie)
        scale = grey_levels(movie, self.contrast)
        return self._score(detections, cell_activity(movie, detections, scale, progress=progress))

    def candidates_of_copies(
        self,
        detections: Detections,
        movie: Movie | None,
        copies: PerturbedCopies,
        *,
        progress: bool = True,
    ) -> list[CandidateGraph]:
        """Score perturbed copies of a movie, whose images and masks are read once."""
        movie = _with_images(movie)
        scale = grey_levels(movie, self.contrast)
        activity = activity_of_copies(movie, copies, scale, progress=progress)
        return [self._score(cells, its) for (cells, _), its in zip(copies, activity, strict=True)]

    def widths(self, activity: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) width sigma in pixels of cells of this activity in grey levels."""
        return np.maximum(activity / self.k, self.narrowest)

    def _score(self, detections: Detections, activity: NDArray[np.float64]) -> CandidateGraph:
        width = self.widths(activity)
        mothers = detections.frame < detections.n_frames - 1
        search_range = float(np.sqrt(-2 * np.log(self.smallest)))  # in widths
        reach = self.reach * search_range * width
        if not mothers.any():
            return CandidateGraph.from_links(detections, [], [], [])
        mother, daughter, distance = neighbour_links(detections, float(reach[mothers].max()))
        near = distance < reach[mother]
        mother, daughter, distance = mother[near], daughter[near], distance[near]
        return CandidateGraph.from_links(
            detections,
            mother,
            daughter,
            gaussian_with_tail(distance / width[mother], search_range).astype(np.float32),
            appear=float(np.log(self.smallest)),
            disappear=self.disappear,
            divide=self.divide,
        )


def _with_images(movie: Movie | None) -> Movie:
    if movie is None or movie.images is None:
        raise InputError(
            "ActivityTracker compares consecutive images: give the movie's images, or use --tracker overlap or "
            "distance"
        )
    return movie
