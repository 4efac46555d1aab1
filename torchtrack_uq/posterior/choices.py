"""A candidate graph as one flat vector of choices, the form that the posterior is computed in."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.links.candidates import CandidateGraph


class Choices(NamedTuple):
    """Scores of all E + 3 N choices of a movie, see `functional.assignments`.

    Attributes:
        score: (C,) float64, scores of the links, then of appearing, disappearing and dividing.
        pair: (C,) int64, problem of each choice (pair p links frames p and p + 1, or the movie). Means nothing, and may
            be out of range, for events that cannot happen.
        is_daughter: (N,) bool, cells that have a frame before in their movie.
        is_mother: (N,) bool, cells that have a frame after.
        n_pairs: Number of problems P; between two movies of a batch of frame pairs stands one without choices.
    """

    score: Tensor
    pair: Tensor
    is_daughter: Tensor
    is_mother: Tensor
    n_pairs: int

    @classmethod
    def of(cls, graph: CandidateGraph) -> "Choices":
        """Scores in float64, so that probabilities sum to 1 to 1e-6 however many are added; differentiable."""
        score = torch.cat([graph.score, graph.appear, graph.disappear, graph.divide]).double()
        as_daughter, as_mother = graph.problem_of_daughter, graph.problem_of_mother
        pair = torch.cat([as_daughter[graph.daughter], as_daughter, as_mother, as_mother])
        return cls(score, pair, graph.is_daughter, graph.is_mother, graph.n_problems)

    def split(self, choice: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cut a vector of choices into links (E,), appearing, disappearing and dividing (N,)."""
        n = len(self.is_daughter)
        link, appear, disappear, divide = torch.split(choice, [len(choice) - 3 * n, n, n, n])
        return link, appear, disappear, divide
