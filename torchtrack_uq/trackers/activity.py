"""Linking by activity: cells that change a lot between images may move far (Ruzaeva et al. 2022)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.intensity import IntensityScale
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import index_cells
from torchtrack_uq.perturb import PerturbedCopies
from torchtrack_uq.trackers.neighbours import REACH, gaussian_with_tail, neighbour_links
from torchtrack_uq.utils.progress import with_progress

_Images = tuple[NDArray[np.float64], NDArray[np.float64]]
"""An image and the next, (P,) each."""


class GreyLevels(NamedTuple):
    """The factor that turns differences of a movie's pixels into grey levels."""

    per_unit: float


def grey_levels(movie: Movie, contrast: float | None) -> GreyLevels:
    """Grey levels per unit of a movie's images.

    Args:
        movie: A movie with images.
        contrast: Grey levels between the movie's 1st and 99.8th percentile; None leaves its own.
    """
    if contrast is None:
        return GreyLevels(1.0)
    scale = IntensityScale(movie.n_frames)
    for t in range(movie.n_frames):
        image = movie.read_image(t)
        assert image is not None
        scale.add(image)
    low, high = scale.limits()
    return GreyLevels(contrast / max(high - low, 1e-12))


def cell_activity(
    movie: Movie, detections: Detections, levels: GreyLevels, *, progress: bool = True
) -> NDArray[np.float64]:
    """Mean of |I_t - I_{t+1}| / 2 inside each cell of frame t (Ruzaeva et al., IPAS 2022).

    Args:
        movie: Images and masks, read two frames at a time.
        detections: Its cells.
        levels: Unit of the result.
        progress: Whether to show a progress bar.

    Returns:
        (N,) grey levels; 0 in the last frame, which has no next image.

    Raises:
        InputError: The masks hold other cells than `detections`.
    """
    activity = np.zeros(len(detections))
    for t, images in with_progress(
        _image_pairs(movie), "Measuring activity", total=movie.n_frames - 1, show=progress
    ):
        where, cell = index_cells(movie, detections, t)
        cells = detections.in_frame(t)
        n_cells = cells.stop - cells.start
        area = np.bincount(cell, minlength=n_cells)
        total = np.bincount(cell, weights=_change(images, where), minlength=n_cells)
        activity[cells] = total / np.maximum(area, 1)
    return activity * levels.per_unit


def activity_of_copies(
    movie: Movie, copies: PerturbedCopies, levels: GreyLevels, *, progress: bool = True
) -> NDArray[np.float64]:
    """(R, N) what `cell_activity` finds in each of R copies of a movie, from one pass over its frames.

    Holds two images and one frame of all copies. Images are those of the movie: noise does not change them.
    """
    activity = []
    frames = zip(copies.frames(), _image_pairs(movie), strict=False)  # the last frame begins no pair
    for frame, (_, images) in with_progress(
        frames, "Measuring activity", total=movie.n_frames - 1, show=progress
    ):
        activity.append(frame.sums(_change(images, frame.foreground)) / np.maximum(frame.areas(), 1))
    last = copies.detections.in_frame(movie.n_frames - 1)
    activity.append(np.zeros((last.stop - last.start, len(copies))))
    return np.concatenate(activity).T * levels.per_unit


def _image_pairs(movie: Movie) -> Iterator[tuple[int, _Images]]:
    """Every frame t but the last, with its image and the next."""
    previous: NDArray[np.float64] | None = None
    for t in range(movie.n_frames):
        image = movie.read_image(t)
        assert image is not None
        grey = np.asarray(image, np.float64).ravel()
        if previous is not None:
            yield t - 1, (previous, grey)
        previous = grey


def _change(images: _Images, where: NDArray[np.int64]) -> NDArray[np.float64]:
    """|I_t - I_{t+1}| / 2 at some pixels."""
    change: NDArray[np.float64] = 0.5 * np.abs(images[0][where] - images[1][where])
    return change


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
