"""What one reel tells the one before it, in numbers of the movie's cells."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.assignment.stretches import Proved

Ints = NDArray[np.int64]


class Ahead(NamedTuple):
    """What is proved of daughters, see `Proved`; and what was guessed of the reel before.

    Attributes:
        daughter: (n,) cells, in order.
        worth: (n,) what is proved of each.
        kept: (K, 2) daughters and mothers of the links that were kept there, in order.
        near: (G,) cells of the last frames of the reel before.
        guess: (G,) mothers that they would have as far as this reel sees, -1 for none.
    """

    daughter: Ints
    worth: NDArray[np.float64]
    kept: Ints
    near: Ints
    guess: Ints

    @classmethod
    def of(
        cls,
        proved: Proved,
        problem: AssignmentProblem,
        first_mother: int,
        first_daughter: int,
        end: int,
        near: Ints,
        guess: Ints,
    ) -> "Ahead":
        """In cells of the movie, of a problem whose mothers and daughters begin with these cells; before cell `end`."""
        links, known = problem.links, proved.daughter + first_daughter < end
        needed = proved.kept[links.daughter[proved.kept] + first_daughter < end]
        kept = np.stack([links.daughter[needed] + first_daughter, links.mother[needed] + first_mother], 1)
        return cls(proved.daughter[known] + first_daughter, proved.worth[known], kept, near, guess)

    def to(self, problem: AssignmentProblem, first_mother: int, first_daughter: int) -> Proved:
        """In numbers of another problem; what it does not hold is left out."""
        links = problem.links
        known = self.daughter < first_daughter + problem.n_daughters
        of_kept = self.kept - (first_daughter, first_mother)
        inside = (of_kept >= 0).all(axis=1) & (of_kept < (problem.n_daughters, problem.n_mothers)).all(axis=1)
        here = of_kept[inside, 0] * problem.n_mothers + of_kept[inside, 1]
        place = np.flatnonzero(np.isin(links.daughter * problem.n_mothers + links.mother, here))
        return Proved(self.daughter[known] - first_daughter, self.worth[known], place)


_NO_CELL = np.zeros(0, np.int64)
NOTHING_AHEAD = Ahead(_NO_CELL, np.zeros(0), np.zeros((0, 2), np.int64), _NO_CELL, _NO_CELL)
"""At the end of the movie."""
