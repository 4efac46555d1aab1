"""From pixels to cells: frames, movies, what is measured of every cell, and detections."""

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FrameSource, open_frames
from torchtrack_uq.movies.movie import Movie

__all__ = ["Detections", "FrameSource", "Movie", "open_frames"]
