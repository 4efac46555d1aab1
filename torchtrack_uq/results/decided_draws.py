"""In which draws of whole histories the decisions about each cell are right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.posterior.histories import Histories
from torchtrack_uq.results.track_decisions import Ints
from torchtrack_uq.utils.kernel import kernel

Bits = NDArray[np.uint8]
_BITS = 8


@dataclass(frozen=True, eq=False)
class DecidedDraws:
    """What is asked of n draws of the histories of N cells, one bit a draw.

    Attributes:
        same_mother: (N, ceil(n / 8)) uint8, draws in which the cell has the mother that was decided, or none.
        same_load: (N, ceil(n / 8)) uint8, draws in which it has as many daughters.
        daughter_component: (N,) int64, as of `Histories`; so are the rest.
        mother_component: (N,) int64.
        exact: (C,) bool.
        chain: (n,) int64.
    """

    same_mother: Bits
    same_load: Bits
    daughter_component: Ints
    mother_component: Ints
    exact: NDArray[np.bool_]
    chain: Ints

    @classmethod
    def of(cls, histories: Histories, mother: Ints, load: Ints) -> "DecidedDraws":
        """Of decided mothers (N,), -1 for none, and numbers of daughters (N,).

        >>> drawn = np.array([[-1, 0], [-1, -1], [-1, 0]])
        >>> histories = Histories(drawn, np.arange(2), np.arange(2, 4), np.full(4, True), np.zeros(3, int))
        >>> DecidedDraws.of(histories, np.array([-1, 0]), np.array([1, 0])).same_mother
        array([[224],
               [160]], dtype=uint8)
        """
        same_mother, same_load = np.zeros((2, histories.n_cells, -(-len(histories) // _BITS)), np.uint8)
        for k, drawn in enumerate(histories.blocks(_BITS)):
            _compare(drawn, mother, load, same_mother, same_load, k)
        return cls(
            same_mother,
            same_load,
            histories.daughter_component,
            histories.mother_component,
            histories.exact,
            histories.chain,
        )

    def __len__(self) -> int:
        """Number of draws."""
        return len(self.chain)

    @property
    def n_cells(self) -> int:
        """N."""
        return len(self.same_mother)


@kernel
def _compare(drawn: Ints, mother: Ints, load: Ints, same_mother: Bits, same_load: Bits, at: int) -> None:
    """Write to column `at` the bits of up to eight draws in which each cell has its mother, and as many daughters."""
    count = np.empty(mother.size, np.int64)
    for r in range(len(drawn)):
        bit = np.uint8(128 >> r)
        count[:] = 0
        for cell in range(mother.size):
            of_cell = drawn[r, cell]
            if of_cell >= 0:
                count[of_cell] += 1
            if of_cell == mother[cell]:
                same_mother[cell, at] |= bit
        for cell in range(mother.size):
            if count[cell] == load[cell]:
                same_load[cell, at] |= bit
