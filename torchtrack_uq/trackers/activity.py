"""Linking by activity: cells that change a lot between images may move far (Ruzaeva et al. 2022)."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.intensity import IntensityScale
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import index_cells
from torchtrack_uq.perturb import PerturbedCopies
from torchtrack_uq.trackers.gaps import check_miss, widening
from torchtrack_uq.trackers.neighbours import REACH, gaussian_with_tail, neighbour_links
from torchtrack_uq.utils.crew import SHARES, spans
from torchtrack_uq.utils.progress import with_progress

_Run = tuple[NDArray[np.float64], list[NDArray[np.float64]]]
"""An image and the next ones, (P,) each."""


class GreyLevels(NamedTuple):
    """The factor that turns differences of a movie's pixels into grey levels."""

    per_unit: float


class _Activity(NamedTuple):
    """Of the cells of some frames, in units of the pixels, and how bright these frames are."""

    activity: NDArray[np.float64]
    scale: IntensityScale


def grey_levels(movie: Movie, contrast: float | None) -> GreyLevels:
    """Grey levels per unit of images; `contrast` between their 1st and 99.8th percentile, None for as they are."""
    return GreyLevels(1.0) if contrast is None else _levels(_scale_of(movie, range(movie.n_frames)), contrast)


def _levels(scale: IntensityScale, contrast: float | None) -> GreyLevels:
    if contrast is None:
        return GreyLevels(1.0)
    low, high = scale.limits()
    return GreyLevels(contrast / max(high - low, 1e-12))


def _scale_of(movie: Movie, frames: range) -> IntensityScale:
    scale = IntensityScale(movie.n_frames)
    for t in frames:
        image = movie.read_image(t)
        assert image is not None
        scale.add(image)
    return scale


def cell_activity(
    movie: Movie,
    detections: Detections,
    levels: GreyLevels,
    *,
    max_gap: int = 1,
    frames: range | None = None,
    progress: bool = True,
) -> NDArray[np.float64]:
    """Mean of |I_t - I_{t+g}| / 2 inside each cell of frame t (Ruzaeva et al., IPAS 2022, for g = 1).

    Args:
        movie: Images and masks, `max_gap` + 1 images read at a time.
        detections: Its cells.
        levels: Unit of the result.
        max_gap: How many frames g ahead to look.
        frames: Whose cells are looked at; those of others are left at 0. All by default.
        progress: Whether to show a progress bar.

    Returns:
        (max_gap, N) grey levels, row g - 1 for g frames ahead; 0 for cells that have no image so far ahead.

    Raises:
        InputError: The masks hold other cells than `detections`.
    """
    activity = np.zeros((max_gap, len(detections)))
    for t, (image, following) in with_progress(
        _image_runs(movie, max_gap, frames), "Measuring activity", total=movie.n_frames - 1, show=progress
    ):
        where, cell = index_cells(movie, detections, t)
        cells = detections.in_frame(t)
        n_cells = cells.stop - cells.start
        area = np.bincount(cell, minlength=n_cells)
        for row, later in zip(activity, following, strict=False):
            total = np.bincount(cell, weights=_change(image, later, where), minlength=n_cells)
            row[cells] = total / np.maximum(area, 1)
    return activity * levels.per_unit


def activity_of_copies(
    movie: Movie, copies: PerturbedCopies, levels: GreyLevels, *, max_gap: int = 1, progress: bool = True
) -> NDArray[np.float64]:
    """(R, max_gap, N) what `cell_activity` finds in each of R copies of a movie, from one pass over its frames.

    Holds `max_gap` + 1 images and one frame of all copies. Images are those of the movie: noise does not change them.
    """
    activity = np.zeros((len(copies), max_gap, len(copies.detections)))
    frames = zip(copies.frames(), _image_runs(movie, max_gap), strict=False)  # the last frame begins no run
    for frame, (t, (image, following)) in with_progress(
        frames, "Measuring activity", total=movie.n_frames - 1, show=progress
    ):
        cells, area = copies.detections.in_frame(t), np.maximum(frame.areas(), 1)
        for row, later in enumerate(following):
            total = frame.sums(_change(image, later, frame.foreground))
            activity[:, row, cells] = (total / area).T
    return activity * levels.per_unit


def _image_runs(movie: Movie, length: int, frames: range | None = None) -> Iterator[tuple[int, _Run]]:
    """Frames t, all but the last one by default, with image and the next `length` ones, or as many as there are."""
    images: deque[NDArray[np.float64]] = deque()
    first, end = (0, movie.n_frames) if frames is None else (frames.start, frames.stop)
    for t in range(first, min(end + length, movie.n_frames)):
        image = movie.read_image(t)
        assert image is not None
        images.append(np.asarray(image, np.float64).ravel())
        if len(images) > length:
            yield first, (images[0], list(images)[1:])
            images.popleft()
            first += 1
    while len(images) > 1 and first < end:
        yield first, (images[0], list(images)[1:])
        images.popleft()
        first += 1


def _change(
    image: NDArray[np.float64], later: NDArray[np.float64], where: NDArray[np.int64]
) -> NDArray[np.float64]:
    """|I_t - I_{t+g}| / 2 at some pixels."""
    change: NDArray[np.float64] = 0.5 * np.abs(image[where] - later[where])
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

    With `max_gap` above 1, cells may be missed in up to `max_gap` - 1 frames between. Over g frames the width is the
    activity between I_t and I_{t+g}, at least that over fewer frames, and a link scores what the density of the wider
    Gaussian is less, D log(sigma over g frames / sigma), and (g - 1) `miss`.

    Their k counts in grey levels of their own movie, whose contrast (1st to 99.8th percentile) is 977 of them.
    Other movies are rescaled to that contrast; a brighter exposure would otherwise make cells move farther.

    It works in 2D and in 3D; distances are those in space, in pixels of x (`Detections.isotropic_coords`).

    Args:
        k: Grey levels of activity per pixel of width.
        smallest: Smallest migration probability of a candidate link; also what a cell without mother has.
        narrowest: Smallest width in pixels, for cells that do not change at all.
        contrast: Grey levels between the 1st and 99.8th percentile of a movie after rescaling; None takes
            grey levels as they are, as the published code does.
        disappear: Score of a cell without daughter.
        divide: Score of a cell with two daughters; -inf forbids divisions.
        reach: Mothers up to this many times farther than where the probability is `smallest` are candidates too,
            less likely than none, see `gaussian_with_tail`; 1 drops them, as the published code does. Mothers several
            frames ago may be as far away, and in any case as far as where their own probability is `smallest`.
        max_gap: How many frames a link may span; 1 for consecutive frames only.
        miss: Score of a cell being missed in a frame. Of -1, -2, ... -6 and -8 it and -4 were best on average over
            masks as annotated and masks with 5 % of the cells deleted (mean NLL of `auto` at T = 1 over four movies at
            every and every fourth frame: .250 and .247; without links over gaps .495); it finds more of the mothers.
            Below log `smallest`, a link over a gap would always be less likely than none.

    Raises:
        InputError: A k, width or contrast that is not positive, a probability outside (0, 1), a reach below 1, or a
            max_gap or miss that cannot be.
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
        max_gap: int = 1,
        miss: float = -4.0,
    ) -> None:
        check_max_gap(max_gap)
        check_miss(miss)
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
        self.max_gap, self.miss = max_gap, miss

    @property
    def default_events(self) -> bool:
        """Whether scores are the default ones, which `torchtrack_uq.calibration.movie_prior` knows."""
        return vars(self) == vars(type(self)()) | {"max_gap": self.max_gap}

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score all pairs within reach; needs images.

        Raises:
            InputError: There is no movie, or it has no images.
        """
        movie = _with_images(movie)
        scale = grey_levels(movie, self.contrast)
        activity = cell_activity(movie, detections, scale, max_gap=self.max_gap, progress=progress)
        return self._score(detections, activity)

    def shares(self, detections: Detections, n: int) -> list[range]:
        """Frames of the mothers; see `DivisibleTracker`."""
        return spans(detections.n_frames, 1 if n == 1 else SHARES * n, least=4 * self.max_gap)

    def score_share(self, detections: Detections, movie: Movie | None, share: range) -> "_Activity":
        """The activity of some frames' cells, and what is needed for its unit."""
        movie = _with_images(movie)
        begin, end = detections.offsets[[share.start, share.stop]]
        unscaled: Any = {"levels": GreyLevels(1.0), "max_gap": self.max_gap, "frames": share}
        found = cell_activity(movie, detections, **unscaled, progress=False)[:, begin:end]
        frames = range(0) if self.contrast is None else share
        return _Activity(found, _scale_of(movie, frames))

    def join_shares(
        self, detections: Detections, movie: Movie | None, parts: Iterable["_Activity"]
    ) -> CandidateGraph:
        """The links of a movie from the activity of all its cells."""
        scale, found = IntensityScale(detections.n_frames), []
        for activity, its_scale in parts:
            found.append(activity)
            scale.merge(its_scale)
        per_unit = _levels(scale, self.contrast).per_unit
        return self._score(detections, np.concatenate(found, axis=1) * per_unit)

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
        activity = activity_of_copies(movie, copies, scale, max_gap=self.max_gap, progress=progress)
        return [self._score(cells, its) for (cells, _), its in zip(copies, activity, strict=True)]

    def widths(self, activity: NDArray[np.float64]) -> NDArray[np.float64]:
        """(max_gap, N) width sigma in pixels of cells of this activity in grey levels; not falling with the gap."""
        widths: NDArray[np.float64] = np.maximum.accumulate(np.maximum(activity / self.k, self.narrowest))
        return widths

    def _score(self, detections: Detections, activity: NDArray[np.float64]) -> CandidateGraph:
        width = self.widths(activity)
        search_range = float(np.sqrt(-2 * np.log(self.smallest)))  # in widths
        reach = np.maximum(self.reach * search_range * width[0], search_range * width)
        mothers = detections.frame < detections.n_frames - 1
        if not mothers.any():
            return CandidateGraph.from_links(detections, [], [], [], max_gap=self.max_gap)
        mother, daughter, distance = neighbour_links(
            detections, reach[:, mothers].max(axis=1).tolist(), max_gap=self.max_gap
        )
        gap = detections.frame[daughter] - detections.frame[mother]
        near = distance < reach[gap - 1, mother]
        mother, daughter, distance, gap = mother[near], daughter[near], distance[near], gap[near]
        its_width = width[gap - 1, mother]
        score = gaussian_with_tail(distance / its_width, search_range)
        score += widening(its_width, width[0, mother], detections.ndim) + (gap - 1) * self.miss
        return CandidateGraph.from_links(
            detections,
            mother,
            daughter,
            score.astype(np.float32),
            appear=float(np.log(self.smallest)),
            disappear=self.disappear,
            divide=self.divide,
            max_gap=self.max_gap,
        )


def _with_images(movie: Movie | None) -> Movie:
    if movie is None or movie.images is None:
        raise InputError(
            "ActivityTracker compares consecutive images: give the movie's images, or use --tracker overlap or "
            "distance"
        )
    return movie
