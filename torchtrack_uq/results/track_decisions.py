"""What has to be so for a track of one history to be found in another."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.results.tracklets import Tracklets

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrackDecisions:
    """What has to be so for the tracks of one history to be found in another; the exact meaning of "the same track".

    A history has the track if it holds all its links (the same cells joined, so the same frames skipped), if the
    first cell has the same mother or none, and if every cell of the track, and that mother, has as many daughters: no
    cell of it divides but the last, and that one if the track does. Where a track ends at a gap, the cell after the
    gap is the same. It need not be the same two daughters with which a track ends; that is asked of its division. A
    lineage is right if the track and all tracks that descend from it are.

    Attributes:
        mother: (N,) mother of each cell, -1 for none.
        tracks: Its tracks.
    """

    mother: Ints
    tracks: Tracklets

    @cached_property
    def load(self) -> Ints:
        """(N,) how many daughters each cell has."""
        return np.bincount(self.mother[self.mother >= 0], minlength=len(self.mother))

    @cached_property
    def first(self) -> Ints:
        """(K,) first cell of each track."""
        return np.unique(self.tracks.track, return_index=True)[1]

    @cached_property
    def last(self) -> Ints:
        """(K,) last cell of each track."""
        return len(self.mother) - 1 - np.unique(self.tracks.track[::-1], return_index=True)[1]

    @cached_property
    def children(self) -> tuple[Ints, Ints]:
        """(L,) tracks, from 0, that others descend from, and these."""
        parent = self.tracks.table["parent"].to_numpy() - 1
        child = np.flatnonzero(parent >= 0)
        return parent[child], child

    @cached_property
    def family(self) -> tuple[Ints, Ints]:
        """(K,) parent of each track, -1 for none, and (K,) how many generations there are above it."""
        above, child = self.children
        parent, depth = np.full(len(self.first), -1), np.zeros(len(self.first), np.int64)
        parent[child] = above
        while len(child):  # those that have so many ancestors
            depth[child] += 1
            above = parent[above]
            child, above = child[above >= 0], above[above >= 0]
        return parent, depth

    def conditions(self) -> tuple[Ints, Ints, Bools]:
        """(Q,) track from 0, (Q,) cell, and whether it is about the cell's mother or its number of daughters."""
        cells, track = np.arange(len(self.mother)), self.tracks.track - 1
        begun = np.flatnonzero(self.mother[self.first] >= 0)
        parent, child = self.children
        heir = self.load[self.last[parent]] == 1
        parts = [
            (track, cells, True),
            (track, cells, False),
            (begun, self.mother[self.first[begun]], False),
            (parent[heir], self.first[child[heir]], True),
        ]
        kind = np.repeat([part[2] for part in parts], [len(part[0]) for part in parts])
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), kind

    def divisions(self) -> tuple[Ints, Ints]:
        """(2 D,) tracks from 0 that end in a division, and the daughters whose mothers are asked for."""
        parent, child = self.children
        two = self.load[self.last[parent]] == 2
        return parent[two], self.first[child[two]]
