"""What a tracker has to offer."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.perturb import PerturbedCopies


@runtime_checkable
class Tracker(Protocol):
    """Anything that names candidate links and scores them.

    A score is a log-weight, higher is likelier; the tracker also says what it costs a cell to appear,
    disappear and divide. That is all there is to plugging in another tracker:

    >>> import numpy as np
    >>> from torchtrack_uq.trackers.neighbours import neighbour_links
    >>> class BrightnessTracker:
    ...     name = "brightness"
    ...
    ...     def candidates(self, detections, movie=None, *, progress=True):
    ...         mother, daughter, distance = neighbour_links(detections, radius=30)
    ...         brightness = detections.features["intensity_mean"][:, 0]
    ...         score = -abs(brightness[mother] - brightness[daughter]) - (distance / 10) ** 2
    ...         return CandidateGraph.from_links(detections, mother, daughter, score, appear=-9.0)
    >>> isinstance(BrightnessTracker(), Tracker)
    True

    Links lead to the next frame, unless the tracker says that they may skip frames in which a cell was missed: with
    `CandidateGraph.from_links(..., max_gap=2)`, among links that span 1 or 2 frames. The graph alone decides; nothing
    else has to be told. Three things make such links fair:

    - A link over g frames scores what the tracker says of that displacement over g frames, and (g - 1) times the score
      of a cell being missed, a negative number of nats: an event like the others, which can be fitted with them.
    - A distribution that is wider over g frames is lower, too: with spread s_g in D dimensions, add -D log(s_g / s_1)
      (`torchtrack_uq.trackers.gaps.widening`).
    - Links between consecutive frames score the same whatever `max_gap` is, so that a temperature fitted without gaps
      still means something.

    >>> class PatientTracker:
    ...     name = "patient"
    ...     miss = -5.0
    ...
    ...     def candidates(self, detections, movie=None, *, progress=True):
    ...         radius, spread = [30, 40], np.array([10.0, 14.0])
    ...         mother, daughter, distance = neighbour_links(detections, radius, max_gap=2)
    ...         gap = detections.frame[daughter] - detections.frame[mother]
    ...         its = spread[gap - 1]
    ...         score = -((distance / its) ** 2) / 2 + (gap - 1) * self.miss
    ...         score -= detections.ndim * np.log(its / spread[0])
    ...         return CandidateGraph.from_links(detections, mother, daughter, score, appear=-9.0, max_gap=2)
    >>> cells = Detections.from_points(np.array([0, 2]), np.array([[0.0, 0], [14, 0]]))
    >>> PatientTracker().candidates(cells).score
    tensor([-6.1729], dtype=torch.float64)
    """

    name: str

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score the candidate links of a movie.

        Args:
            detections: The movie's cells, with their features.
            movie: Its images and masks, for trackers that look at pixels.
            progress: Whether to show a progress bar.
        """
        ...


@runtime_checkable
class StreamingTracker(Tracker, Protocol):
    """A tracker that hands out the first frame pairs while it still scores the last ones.

    Methods that solve frame pairs on the CPU do so meanwhile. A tracker whose links may span several frames has an
    attribute `max_gap` that says how many: above 1 a movie is one problem, and `candidates` is called instead.
    """

    def stream(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> Iterator[LinkChunk]:
        """Score the candidate links of a movie, some frame pairs at a time.

        Args:
            detections: The movie's cells, with their features.
            movie: Its images and masks, for trackers that look at pixels.
            progress: Whether to show a progress bar.

        Yields:
            Chunks that follow each other from frame 0 to the last frame; together the same links and scores as
            `candidates` names. None for a movie of a single frame.
        """
        ...


@runtime_checkable
class PerturbableTracker(Tracker, Protocol):
    """A tracker that knows better than to score perturbed copies of a movie one by one.

    For one of two reasons: it scores them in one batch, or it estimates something from a movie that noise must
    not change.
    """

    def candidates_of_copies(
        self,
        detections: Detections,
        movie: Movie | None,
        copies: PerturbedCopies,
        *,
        progress: bool = True,
    ) -> list[CandidateGraph]:
        """Score the candidate links of perturbed copies of a movie.

        Args:
            detections: The movie's cells without noise.
            movie: The movie without noise.
            copies: Cells and movie under noise, the same cells in the same order: an iterable of the copies,
                which also hands out all copies frame by frame.
            progress: Whether to show a progress bar.

        Returns:
            One graph a copy.
        """
        ...


@runtime_checkable
class ReelTracker(Tracker, Protocol):
    """A tracker that can score some frames of a movie at a time, so that nobody has to hold all of its links."""

    def of_movie(self, detections: Detections) -> Tracker:
        """A tracker whose candidates of some frames of a movie are those that this one names in the whole of it.

        Args:
            detections: All of the movie's cells: what is learned from them is learned here.

        Raises:
            InputError: It cannot be done with the tracker's options.
        """
        ...


@runtime_checkable
class DivisibleTracker(Tracker, Protocol):
    """A tracker whose work on one movie can be shared out over processes and machines.

    Whatever the shares are, the links and scores are those of `candidates`, to the last bit: whatever is known of the
    whole movie only goes into `join_shares`, and what a share needs of frames outside of it, it looks at as well.
    The tracker and what it makes of a share are pickled on their way.
    """

    def shares(self, detections: Detections, n: int) -> Sequence[Any]:
        """What `score_share` is to be called with, once each, in any order.

        Args:
            detections: The movie's cells, with their features.
            n: How many workers there are.
        """
        ...

    def score_share(self, detections: Detections, movie: Movie | None, share: Any) -> Any:
        """What is worked out of a share by a worker; in memory of the CPU.

        Args:
            detections: The movie's cells, with their features.
            movie: Its images and masks, for trackers that look at pixels.
            share: One of `shares`.
        """
        ...

    def join_shares(
        self, detections: Detections, movie: Movie | None, parts: Iterable[Any]
    ) -> CandidateGraph:
        """The candidate links of the movie.

        Args:
            detections: The movie's cells, with their features.
            movie: Its images and masks, for trackers that look at pixels.
            parts: What `score_share` made of each share, in the order of `shares`.
        """
        ...
