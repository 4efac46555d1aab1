"""Crowded frame pairs of real movies as assignment problems, scored by the package's own trackers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.data import CHECKOUT
from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.trackers import DistanceTracker, OverlapTracker, TrackastraTracker

MODEL = CHECKOUT / "checkpoints" / "small_2d"
MOVIES = ("Fluo-N2DH-SIM+", "cglutamicum-06min", "mouse-epidermis", "cell-migration")


def scored_frame_pairs(
    data: Path, strides: tuple[int, ...] = (1, 4, 8)
) -> Iterator[tuple[str, AssignmentProblem]]:
    """The last frame of each movie and the one `stride` before, by distance, overlap and Trackastra.

    Only these two frames are read. Trackastra needs images and is left out where there are none.
    """
    for name in MOVIES:
        masks = sorted((data / name / "01_GT" / "TRA").glob("man_track*.tif"))
        images = sorted((data / name / "01").glob("*.tif"))
        for stride in strides:
            if len(masks) <= stride:
                continue
            with tempfile.TemporaryDirectory() as folder:
                pair = {"masks": masks, "images": images}
                for kind, files in pair.items():
                    (Path(folder) / kind).mkdir()
                    for file in (files[len(masks) - 1 - stride], files[len(masks) - 1]) if files else ():
                        (Path(folder) / kind / file.name).symlink_to(file)
                movie = Movie.open(Path(folder) / "images" if images else None, Path(folder) / "masks")
                cells = Detections.from_movie(movie, progress=False)
                trackers = [DistanceTracker(), OverlapTracker()]
                if images:
                    trackers.append(TrackastraTracker.from_folder(MODEL))
                for tracker in trackers:
                    graph = tracker.candidates(cells, movie, progress=False)
                    yield f"{name} stride {stride}, {tracker.name}", graph.problem(1)
