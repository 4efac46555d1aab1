"""Linking by squared distance, as Crocker and Grier (1996) and trackpy do."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.scale import length_in_pixels, micrometres
from torchtrack_uq.trackers.common_motion import motion_since
from torchtrack_uq.trackers.gaps import check_miss, widening
from torchtrack_uq.trackers.neighbours import (
    REACH,
    Motion,
    can_be_linked,
    gaussian_with_tail,
    neighbour_links,
    spacing,
    typical_displacements,
)
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.utils.progress import with_progress

_RANGE_IN_SCALES = 5.0
MISS = -7.0
"""Score of a cell being missed in a frame."""


class _Ranges(NamedTuple):
    """What a movie says of distances: scales over 1, 2, ... frames, the search range, and how far to look over each."""

    scales: NDArray[np.float64]
    search_range: float
    radii: list[float]


class DistanceTracker:
    """Score of a link = -(distance between centroids)² / (2 scale²), within a search range and less beyond it.

    The cost of Crocker and Grier, "Methods of Digital Video Microscopy for Colloidal Studies", J. Colloid
    Interface Sci. 179 (1996). With the default event scores and `divide=-inf`, the MAP assignment is the one
    that `trackpy.link` finds: a cell rather appears than moves farther than the search range. Mothers up to
    twice the range away are candidates all the same, see `gaussian_with_tail`.

    With `max_gap` above 1, cells may be missed in up to `max_gap` - 1 frames between. Over g frames scale and range
    grow as the movie's displacements do (`typical_displacements`), and a link scores what the wider Gaussian's density
    is less, D log(scale over g frames / scale), and (g - 1) `miss`.

    It works in 2D and in 3D, for points and for masks. Distances are those in space (`Detections.isotropic_coords`):
    planes that lie farther apart than pixels count as far as they are, where the movie's voxel size is known.

    Args:
        search_range: Largest displacement between frames, in pixels of x; or with its unit, "12um", for movies whose
            voxel size is known. By default five times the scale.
        scale: Standard deviation of the displacement per axis, in pixels of x; sets how sure the scores are, not
            which links are best. By default estimated by `typical_displacements`.
        appear: Score of a cell without mother; by default the score at the search range.
        disappear: Score of a cell without daughter.
        divide: Score of a cell with two daughters; -inf forbids divisions.
        max_candidates: Keep this many nearest mothers of each daughter; all within reach by default.
        reach: How many search ranges away a mother may be; at 1, none beyond the range is a candidate. Mothers several
            frames ago may be as far away, and in any case within the range over as many frames. Where the range is
            estimated and reach above 1, mothers no farther away than cells typically are from each other are candidates
            too: cells that hardly move may still jump when they divide.
        max_gap: How many frames a link may span; 1 for consecutive frames only.
        miss: Score of a cell being missed in a frame. The default was best on average over masks as annotated and
            masks with 5 % of the cells deleted, of -1, -2, ... -6 and -8 (mean NLL of `auto` at T = 1 over nine movies
            at every and every fourth frame: .254; without links over gaps .538). Where more cells are missed or frames
            are crowded, -3 to -5 finds more of the true mothers; `fit` with events finds out.
        without_common_motion: Take the motion that neighbours have in common (drift, flow, growth; found without links,
            see `torchtrack_uq.trackers.common_motion`) out of the distances. It halves the NLL where cells flow
            (embryos at every fourth frame: .209 and .097 with it, .114 and .069 without) and changes little where each
            goes its own way (HeLa, mouse-epidermis). Off by default: with fitted scores embryos had fewer errors
            without it, but worse probabilities at every second frame (experiments/results/small_3d.md). Priors were
            learned with it in; they are used all the same, and the numbers above are with them.

    Raises:
        InputError: A range or scale that is not positive, a reach below 1, or a max_gap or miss that cannot be.

    >>> cells = Detections.from_points(np.array([0, 1]), np.array([[0.0, 0], [3, 4]]))
    >>> DistanceTracker(search_range=15, scale=5).candidates(cells).score
    tensor([-0.5000])
    """

    name = "distance"

    def __init__(
        self,
        search_range: float | str | None = None,
        scale: float | None = None,
        appear: float | None = None,
        disappear: float = 0.0,
        divide: float = 0.0,
        max_candidates: int | None = None,
        reach: float = REACH,
        max_gap: int = 1,
        miss: float = MISS,
        without_common_motion: bool = False,
    ) -> None:
        check_max_gap(max_gap)
        check_miss(miss)
        if not reach >= 1:
            raise InputError(f"reach must be at least 1 search range, got {reach}")
        for name, value in (("search_range", search_range), ("scale", scale)):
            number = value if value is None or not isinstance(value, str) else micrometres(value)
            if number is not None and not number > 0:
                raise InputError(f"{name} must be a positive number of pixels, got {value}")
        self.search_range, self.scale = search_range, scale
        self.appear, self.disappear, self.divide = appear, disappear, divide
        self.max_candidates, self.reach = max_candidates, reach
        self.max_gap, self.miss, self.without_common_motion = max_gap, miss, without_common_motion

    @property
    def identity(self) -> str:
        """What it is called in calibration files: scores without common motion are others, see `tracker_identity`."""
        return f"{self.name}:without-common-motion" if self.without_common_motion else self.name

    @property
    def prior_identity(self) -> str:
        """Of the tracker whose prior is used: the same with common motion and without."""
        return self.name

    @property
    def default_events(self) -> bool:
        """Whether the event scores are the default ones, which `torchtrack_uq.calibration.movie_prior` knows."""
        own = self.search_range is None and self.appear is None and self.miss == MISS
        return own and self.disappear == 0 and self.divide == 0

    def check_voxel_size(self, voxel_size: Sequence[float] | None) -> None:
        """Refuse a search range in micrometres for a movie of unknown scale, before its cells are measured.

        Raises:
            InputError: Nobody knows how large a voxel is.
        """
        if self.search_range is not None:
            length_in_pixels("search_range", self.search_range, voxel_size)

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score all pairs within reach; pixels are not looked at."""
        motion = self._motion(detections)
        return self._score(detections, self._scales(detections, motion), motion)

    def of_movie(self, detections: Detections) -> Tracker:
        """A tracker whose candidates of some frames of a movie are those that this one names in the movie.

        Range and scales are those of all of it. Pixels are not looked at.

        Args:
            detections: All of the movie's cells.

        Raises:
            InputError: Common motion is taken out, which is found frame by frame from the surroundings.
        """
        if self.without_common_motion:
            raise InputError("common motion is found in whole movies only; leave without_common_motion out")
        return _OfMovie(self, self._ranges(detections, self._scales(detections, None)))

    def candidates_of_copies(
        self,
        detections: Detections,
        movie: Movie | None,
        copies: Iterable[tuple[Detections, Movie | None]],
        *,
        progress: bool = True,
    ) -> list[CandidateGraph]:
        """Score perturbed copies of a movie, all with the scales that are estimated without noise."""
        scales = self._scales(detections, self._motion(detections))
        bar = with_progress(copies, "Scoring perturbed copies", show=progress)
        return [self._score(cells, scales, self._motion(cells)) for cells, _ in bar]

    def _motion(self, detections: Detections) -> Motion:
        """(N, max_gap, D) that of the surroundings of each cell, None where it is left in."""
        if not self.without_common_motion:
            return None
        return motion_since(detections.offsets, detections.isotropic_coords, self.max_gap)

    def _scales(self, detections: Detections, motion: Motion) -> NDArray[np.float64] | None:
        """(max_gap,) standard deviation of the displacement over 1, 2, ... frames; None if there is nothing to link."""
        if not can_be_linked(detections, self.max_gap):
            return None
        if self.scale is not None and self.max_gap == 1:
            return np.array([self.scale])
        estimated = typical_displacements(detections, self.max_gap, motion)
        return estimated if self.scale is None else self.scale * (estimated / estimated[0])

    def _ranges(self, detections: Detections, scales: NDArray[np.float64] | None) -> "_Ranges | None":
        if scales is None:
            return None
        scale = float(scales[0])
        search_range = _RANGE_IN_SCALES * scale
        if self.search_range is not None:
            search_range = length_in_pixels("search_range", self.search_range, detections.voxel_size)
        widest = self.reach * search_range
        if self.search_range is None and self.reach > 1:
            widest = max(widest, spacing(detections))
        return _Ranges(scales, search_range, np.maximum(widest, search_range * (scales / scale)).tolist())

    def _score(
        self, detections: Detections, scales: NDArray[np.float64] | None, motion: Motion
    ) -> CandidateGraph:
        return self._within(detections, self._ranges(detections, scales), motion)

    def _within(self, detections: Detections, ranges: "_Ranges | None", motion: Motion) -> CandidateGraph:
        if ranges is None:
            return CandidateGraph.from_links(detections, [], [], [], max_gap=self.max_gap)
        scales, search_range, radii = ranges
        scale = float(scales[0])
        mother, daughter, distance = neighbour_links(
            detections, radii, self.max_candidates, self.max_gap, motion
        )
        gap = detections.frame[daughter] - detections.frame[mother]
        its_scale = scales[gap - 1]
        score = gaussian_with_tail(distance / its_scale, search_range / scale)
        score += widening(its_scale, scale, detections.ndim) + (gap - 1) * self.miss
        return CandidateGraph.from_links(
            detections,
            mother,
            daughter,
            score.astype(np.float32),
            appear=-(search_range**2) / (2 * scale**2) if self.appear is None else self.appear,
            disappear=self.disappear,
            divide=self.divide,
            max_gap=self.max_gap,
        )


class _OfMovie:
    """A `DistanceTracker` that knows a movie's range and scales."""

    def __init__(self, tracker: DistanceTracker, ranges: _Ranges | None) -> None:
        self.tracker, self.ranges = tracker, ranges
        self.name, self.max_gap = tracker.name, tracker.max_gap

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Of some of the movie's frames."""
        return self.tracker._within(detections, self.ranges, None)
