"""Annotated movies: readers of every format, and the true mother of every daughter."""

from torchtrack_uq.datasets.corrupt import CorruptedMasks, CorruptionRates, write_corrupted
from torchtrack_uq.datasets.corrupt_movie import corrupt
from torchtrack_uq.datasets.corrupt_points import CorruptedPoints, corrupt_points
from torchtrack_uq.datasets.ctc import CtcSequence, read_ctc_sequence
from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match import match_frame, match_movie
from torchtrack_uq.datasets.match_counts import MatchCounts
from torchtrack_uq.datasets.one_in_a_million import read_one_in_a_million
from torchtrack_uq.datasets.points import read_points_movie
from torchtrack_uq.datasets.read import read_annotated, read_movies
from torchtrack_uq.datasets.simulation import (
    Conditions,
    SimulatedFrame,
    model_scores,
    simulate,
    stream,
    write_simulated,
)

__all__ = [
    "AnnotatedMovie",
    "Conditions",
    "CorruptedMasks",
    "CorruptedPoints",
    "CorruptionRates",
    "CtcSequence",
    "DetectionKinds",
    "Lineage",
    "MatchCounts",
    "SimulatedFrame",
    "corrupt",
    "corrupt_points",
    "match_frame",
    "match_movie",
    "model_scores",
    "read_annotated",
    "read_ctc_sequence",
    "read_movies",
    "read_one_in_a_million",
    "read_points_movie",
    "simulate",
    "stream",
    "write_corrupted",
    "write_simulated",
]
