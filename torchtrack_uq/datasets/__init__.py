"""Annotated movies: Cell Tracking Challenge folders, point tables, and the true mother of every daughter."""

from torchtrack_uq.datasets.ctc import CtcSequence, read_ctc_sequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match import MatchCounts, MatchedMovie, match_frame, match_movie
from torchtrack_uq.datasets.one_in_a_million import read_one_in_a_million
from torchtrack_uq.datasets.points import read_points_movie
from torchtrack_uq.datasets.sources import SourcedMovie, movies_from

__all__ = [
    "AnnotatedMovie",
    "CtcSequence",
    "Lineage",
    "MatchCounts",
    "MatchedMovie",
    "SourcedMovie",
    "match_frame",
    "match_movie",
    "movies_from",
    "read_ctc_sequence",
    "read_one_in_a_million",
    "read_points_movie",
]
