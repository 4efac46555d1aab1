"""From pixels to cells: frames, movies, what is measured of every cell, and detections."""

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FrameSource, open_frames
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.points_table import PointsTable, read_points, read_points_table

__all__ = [
    "Detections",
    "FrameSource",
    "Movie",
    "PointsTable",
    "open_frames",
    "read_points",
    "read_points_table",
]
