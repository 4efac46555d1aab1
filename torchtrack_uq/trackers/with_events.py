"""Any tracker, with scores of appearing, disappearing and dividing added to its own."""

from collections.abc import Iterable

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.detections import Detections
from torchtrack_uq.layers.event_scores import EventScores
from torchtrack_uq.movie import Movie
from torchtrack_uq.trackers.protocol import PerturbableTracker, Tracker


class TrackerWithEvents:
    """A tracker whose graphs get event scores, such as those that fine-tuning learnt.

    Args:
        tracker: Scores the links.
        events: Scores the events; differentiable.

    >>> import numpy as np
    >>> from torchtrack_uq.trackers import DistanceTracker
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> tracker = TrackerWithEvents(DistanceTracker(10), EventScores(disappear=-3.0))
    >>> plain = DistanceTracker(10).candidates(cells, progress=False)
    >>> (tracker.candidates(cells, progress=False).disappear - plain.disappear).detach()
    tensor([-3., -3.])
    """

    def __init__(self, tracker: Tracker, events: EventScores) -> None:
        self.tracker, self.events, self.name = tracker, events, tracker.name

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score the links and events of a movie."""
        return self._add(self.tracker.candidates(detections, movie, progress=progress))

    def candidates_of_copies(
        self,
        detections: Detections,
        movie: Movie | None,
        copies: Iterable[tuple[Detections, Movie | None]],
        *,
        progress: bool = True,
    ) -> list[CandidateGraph]:
        """Score perturbed copies of a movie, in the tracker's own way if it has one."""
        if isinstance(self.tracker, PerturbableTracker):
            found = self.tracker.candidates_of_copies(detections, movie, copies, progress=progress)
        else:
            found = [self.tracker.candidates(cells, seen, progress=False) for cells, seen in copies]
        return [self._add(graph) for graph in found]

    def _add(self, graph: CandidateGraph) -> CandidateGraph:
        added: CandidateGraph = self.events.to(graph.device)(graph)
        return added
