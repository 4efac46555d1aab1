"""Candidate links of a movie, their scores, what a person decided about them, and their probabilities."""

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.links.collate import collate_movies
from torchtrack_uq.links.corrections import confirm, forbid
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.links.probabilities import LinkProbabilities

__all__ = [
    "CandidateGraph",
    "LinkChunk",
    "LinkProbabilities",
    "PerturbedScores",
    "collate_movies",
    "confirm",
    "forbid",
]
