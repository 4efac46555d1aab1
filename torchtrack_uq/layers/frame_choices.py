"""Parent functions of one frame pair as indices into the movie's vector of choices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.layers.movie_problems import MovieProblems

IntArray = NDArray[np.int64]
LINK, APPEAR, DISAPPEAR, DIVIDE = range(4)  # kinds of choices, in the order of their columns


@dataclass(frozen=True, eq=False)
class FrameChoices:
    """Numbering of a frame pair's choices.

    Attributes:
        problem: The frame pair, links sorted by daughter and then mother as in a graph.
        start: (4,) int64, where its links, appearances, disappearances and divisions begin.
    """

    problem: AssignmentProblem
    start: IntArray

    @classmethod
    def of(cls, problems: MovieProblems, pair: int, problem: AssignmentProblem) -> "FrameChoices":
        """The choices of frame pair `pair` of a movie."""
        return cls(problem, np.array([column.start for column in problems.columns(pair)]))

    def option(self, daughter: IntArray, parent: IntArray) -> IntArray:
        """The choice that each daughter makes with a parent: its link, or to appear with parent -1."""
        if not len(daughter):
            return np.zeros(0, np.int64)
        width = self.problem.n_mothers + 1
        link = np.searchsorted(self.problem.daughter * width + self.problem.mother, daughter * width + parent)
        choice: IntArray = np.where(parent < 0, self.start[APPEAR] + daughter, self.start[LINK] + link)
        return choice

    def of_parent(self, parent: IntArray) -> IntArray:
        """All choices that a parent function (N,) makes."""
        load = np.bincount(parent[parent >= 0], minlength=self.problem.n_mothers)
        return np.concatenate(
            [
                self.option(np.arange(self.problem.n_daughters), parent),
                self.start[DISAPPEAR] + np.flatnonzero(load == 0),
                self.start[DIVIDE] + np.flatnonzero(load == 2),
            ]
        )
