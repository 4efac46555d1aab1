"""Mothers in many draws, one byte a daughter: which of her own links was drawn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment.kernels.links import GroupedLinks
from torchtrack_uq.assignment.types import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class DrawnParents:
    """(R, N) mothers of N daughters in R draws.

    Attributes:
        rank: (R, N) unsigned, 0 for no mother, k for the k-th link of the daughter in `links`.
        links: of the problem.

    Example:
        >>> from torchtrack_uq.assignment import AssignmentProblem
        >>> problem = AssignmentProblem.build([4, 2], [0, 0], [0.0, 0.0], 5, 2)
        >>> DrawnParents(np.array([[0, 0], [2, 0]], np.uint8), problem.links).rows(0, 2).tolist()
        [[-1, -1], [4, -1]]
    """

    rank: NDArray[np.unsignedinteger[Any]]
    links: GroupedLinks

    @staticmethod
    def ranks(links: GroupedLinks) -> NDArray[np.unsignedinteger[Any]]:
        """(F,) rank of each link among those of its daughter, from 1, in the smallest type that holds them."""
        rank = np.arange(1, links.mother.size + 1) - links.start[links.daughter]
        return rank.astype(np.min_scalar_type(int(rank.max(initial=0))))

    @classmethod
    def of(cls, links: GroupedLinks, parent: IntArray) -> "DrawnParents":
        """From mothers, which have to be among the daughters' candidates."""
        rank = cls.ranks(links)
        found = cls(np.zeros(parent.shape, rank.dtype), links)
        places, every = np.arange(links.mother.size), np.arange(parent.shape[1])
        for r, row in enumerate(parent):
            found.replace(r, row, places, every)
        return found

    def __len__(self) -> int:
        return len(self.rank)

    def rows(self, begin: int, end: int) -> IntArray:
        """(end - begin, N) int64 mothers in some of the draws, -1 for none."""
        rank = self.rank[begin:end]
        if not self.links.mother.size:
            return np.full(rank.shape, -1, np.int64)
        place = self.links.start[:-1] + rank
        place -= 1
        np.maximum(place, 0, out=place)
        found = self.links.mother[place]
        found[rank == 0] = -1
        return found

    def replace(self, r: int, parent: IntArray, places: IntArray, daughters: IntArray) -> None:
        """Give some daughters other mothers in draw r, in place.

        Args:
            r: the draw.
            parent: (N,) mothers of all daughters.
            places: rows of `links` among which theirs are.
            daughters: whose.
        """
        mother, daughter = self.links.mother[places], self.links.daughter[places]
        taken: BoolArray = parent[daughter] == mother
        self.rank[r, daughters] = 0
        self.rank[r, daughter[taken]] = places[taken] - self.links.start[daughter[taken]] + 1
