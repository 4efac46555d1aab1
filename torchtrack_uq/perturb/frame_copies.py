"""One frame of all perturbed copies of a movie at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.regions import count_pairs
from torchtrack_uq.utils.kernel import kernel


@dataclass(frozen=True)
class FrameCopies:
    """One frame of R perturbed copies of a movie of P pixels, which differ in K pixels near boundaries only.

    Attributes:
        owner: (P,) int32, 1 + the cell that each pixel belongs to in the copies where it belongs to any, 0 for
            background in all of them.
        band: (K,) int64, flat positions of the pixels that may differ, ascending.
        kept: (K, R) bool, in which copies each of these belongs to its cell.
        n_cells: Number of cells in the frame.
    """

    owner: NDArray[np.int32]
    band: NDArray[np.int64]
    kept: NDArray[np.bool_]
    n_cells: int

    @property
    def n_copies(self) -> int:
        """Number of copies R."""
        return int(self.kept.shape[1])

    @cached_property
    def foreground(self) -> NDArray[np.int64]:
        """(F,) flat positions of the pixels that belong to a cell in any copy, ascending."""
        return np.flatnonzero(self.owner > 0)

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_cells, R) sum of (F,) values of the foreground over each cell, in the order of the pixels."""
        total = np.zeros((self.n_cells, self.n_copies))
        _add_up(self.foreground, self.owner, values, self.band, self.kept, total)
        return total

    def areas(self) -> NDArray[np.int64]:
        """(n_cells, R) pixels of each cell."""
        return self.sums(np.ones(len(self.foreground))).astype(np.int64)

    def shared(
        self, following: "FrameCopies"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pixels that cells share with those of the next frame.

        Returns:
            (E,) cells here and (E,) cells of the next frame that share a pixel in any copy, sorted; (E, R) how
            many in each.
        """
        where = np.flatnonzero((self.owner > 0) & (following.owner > 0))
        a, b = self.owner[where] - 1, following.owner[where] - 1
        mother, daughter, _ = count_pairs(a, b, self.n_cells, following.n_cells)
        first = np.searchsorted(mother, np.arange(self.n_cells + 1))
        shared = np.zeros((len(mother), self.n_copies), np.int64)
        _count_shared(
            where, a, b, first, daughter, self.band, self.kept, following.band, following.kept, shared
        )
        return mother, daughter, shared


@kernel
def _add_up(
    where: NDArray[np.int64],
    owner: NDArray[np.int32],
    values: NDArray[np.float64],
    band: NDArray[np.int64],
    kept: NDArray[np.bool_],
    total: NDArray[np.float64],
) -> None:
    """Walk over pixels and over the band, both ascending."""
    k = 0
    for f in range(len(where)):
        at = where[f]
        cell, value = owner[at] - 1, values[f]
        while k < len(band) and band[k] < at:
            k += 1
        if k < len(band) and band[k] == at:
            for r in range(total.shape[1]):
                total[cell, r] += value * kept[k, r]
        else:
            for r in range(total.shape[1]):
                total[cell, r] += value


@kernel
def _count_shared(
    where: NDArray[np.int64],
    a: NDArray[np.int32],
    b: NDArray[np.int32],
    first: NDArray[np.int64],
    partner: NDArray[np.int64],
    band_a: NDArray[np.int64],
    kept_a: NDArray[np.bool_],
    band_b: NDArray[np.int64],
    kept_b: NDArray[np.bool_],
    shared: NDArray[np.int64],
) -> None:
    """Walk over the pixels that two frames may share and over both bands; partners of cell i start at first[i]."""
    always = np.zeros(len(partner), np.int64)
    n_copies = shared.shape[1]
    i = j = 0
    for at in range(len(where)):
        pair = first[a[at]]
        while partner[pair] != b[at]:
            pair += 1
        while i < len(band_a) and band_a[i] < where[at]:
            i += 1
        while j < len(band_b) and band_b[j] < where[at]:
            j += 1
        in_a = i < len(band_a) and band_a[i] == where[at]
        in_b = j < len(band_b) and band_b[j] == where[at]
        if in_a and in_b:
            for r in range(n_copies):
                shared[pair, r] += kept_a[i, r] & kept_b[j, r]
        elif in_a:
            for r in range(n_copies):
                shared[pair, r] += kept_a[i, r]
        elif in_b:
            for r in range(n_copies):
                shared[pair, r] += kept_b[j, r]
        else:
            always[pair] += 1
    for pair in range(len(partner)):
        shared[pair] += always[pair]
