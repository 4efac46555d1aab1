"""One movie's links scored by several workers."""

from typing import Any

import torch

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.trackers.gaps import max_gap_of
from torchtrack_uq.trackers.protocol import DivisibleTracker, Tracker
from torchtrack_uq.utils.crew import Crew
from torchtrack_uq.utils.device import one_torch_thread
from torchtrack_uq.utils.progress import with_progress

_Common = tuple[DivisibleTracker, Detections, Movie | None]


class SharedOut:
    """A tracker whose work on a movie is done by a crew: the links and scores of one process with one thread.

    A tracker that is no `DivisibleTracker` does it here.

    Args:
        tracker: Any.
        crew: Who works.
    """

    def __init__(self, tracker: Tracker, crew: Crew) -> None:
        self.tracker, self.crew = tracker, crew
        self.name, self.max_gap = tracker.name, max_gap_of(tracker)

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """What the tracker names."""
        with one_torch_thread():
            if not isinstance(self.tracker, DivisibleTracker):
                return self.tracker.candidates(detections, movie, progress=progress)
            shares = self.tracker.shares(detections, self.crew.n)
            parts = self.crew.map(score_share, (self.tracker, detections, movie), shares)
            shown = with_progress(parts, "Scoring links", total=len(shares), show=progress)
            return self.tracker.join_shares(detections, movie, shown)


def score_share(common: _Common, share: Any) -> Any:
    """A share's part of the links, in a worker."""
    torch.set_num_threads(1)  # for good: another thread of the worker may be in the middle of a share
    tracker, detections, movie = common
    return tracker.score_share(detections, movie, share)
