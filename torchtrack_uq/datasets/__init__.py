"""Annotated movies: Cell Tracking Challenge folders, point tables, and the true mother of every daughter."""

from torchtrack_uq.datasets.ctc import CtcSequence, read_ctc_sequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match import MatchCounts, MatchedMovie, match_frame, match_movie
from torchtrack_uq.datasets.points import read_points_movie

__all__ = [
    "AnnotatedMovie",
    "CtcSequence",
    "Lineage",
    "MatchCounts",
    "MatchedMovie",
    "match_frame",
    "match_movie",
    "read_ctc_sequence",
    "read_points_movie",
]
