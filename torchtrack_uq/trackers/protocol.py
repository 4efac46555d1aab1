"""What a tracker has to offer."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.perturb import PerturbedCopies


@runtime_checkable
class Tracker(Protocol):
    """Anything that names candidate links between consecutive frames and scores them.

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

    Methods that solve frame pairs on the CPU do so meanwhile.
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
