"""The cells of a movie, measured or taken from where an earlier run left them."""

from functools import partial

from torchtrack_uq.movies.cell_counts import check_detections
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.stages import Stages
from torchtrack_uq.trackers.distance import DistanceTracker
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.utils.crew import Crew


def measured_cells(
    movie: Movie,
    tracker: Tracker,
    *,
    progress: bool = True,
    stages: Stages | None = None,
    crew: Crew | None = None,
) -> Detections:
    """Measure a movie for a tracker, and say which frames stand out.

    Args:
        movie: Images and masks.
        tracker: What the cells are for; one that needs the movie's scale is asked first.
        progress: Whether to show a progress bar.
        stages: Where measured cells are kept.
        crew: Who measures.

    Raises:
        InputError: Frames that cannot be used, or a scale that nobody knows.

    Warns:
        MovieWarning: Frames that stand out, see `check_detections`.
    """
    if isinstance(tracker, DistanceTracker):
        tracker.check_voxel_size(movie.voxel_size)
    measure = partial(Detections.from_movie, movie, crew=crew, progress=progress)
    detections = measure() if stages is None else stages.detections(measure)
    check_detections(detections)
    return detections
