"""Links that no draw of a movie's histories holds: each improbable, but long tracks have many of them."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.posterior.histories import Histories
from torchtrack_uq.results.track_decisions import Ints, TrackDecisions

Floats = NDArray[np.float64]
LEAST = 1e-5
"""Probability below which links do not matter: in simulated movies these are a twentieth of what is left out, which is
itself 0.00015 a cell."""


class LeftOut(NamedTuple):
    """K links and their probabilities.

    Attributes:
        mother: (K,) cells.
        daughter: (K,) cells.
        probability: (K,) float64.
    """

    mother: Ints
    daughter: Ints
    probability: Floats

    @classmethod
    def of(cls, histories: Histories, probabilities: LinkProbabilities) -> "LeftOut":
        """Those of candidate links that the draws cannot hold."""
        if histories.possible is None:
            return NOTHING
        graph, link = probabilities.graph, probabilities.link.double().numpy()
        at = np.flatnonzero(~histories.possible & (link >= LEAST))
        return cls(graph.mother.numpy()[at], graph.daughter.numpy()[at], link[at])


NOTHING = LeftOut(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class WithoutLeftOut:
    """What left-out links take from the probabilities of tracks: none that goes against a track may be the truth.

    A link goes against the tracks that need another mother of its daughter, or as many daughters of its mother as she
    has without it (`TrackDecisions.conditions`). Links are taken for independent of each other and of what is drawn,
    which costs the square of their probabilities.
    """

    def __init__(self, decided: TrackDecisions, left_out: LeftOut) -> None:
        self.decided, self.left_out = decided, left_out
        self.n_tracks = len(decided.first)
        self.log_none = np.log1p(-np.minimum(left_out.probability, 1 - 1e-12))
        self.link, self.against = self._pairs()

    @property
    def track(self) -> Floats:
        """(K,) factor of each track's probability."""
        return np.exp(self._own)

    @property
    def division(self) -> Floats:
        """(K,) factor of that of each track's division."""
        dividing, daughter = self.decided.divisions()
        of_cell = np.zeros(len(self.decided.mother))
        np.add.at(of_cell, self.left_out.daughter, self.log_none)
        return np.exp(self._sum(dividing, of_cell[daughter]))

    @property
    def errors(self) -> Floats:
        """(K,) more wrong decisions expected along each track."""
        track, p = self.decided.tracks.track - 1, self.left_out.probability
        of_daughter, of_mother = track[self.left_out.daughter], track[self.left_out.mother]
        two = of_daughter != of_mother
        return self._sum(of_daughter, p) + self._sum(of_mother[two], p[two])

    @property
    def lineage(self) -> Floats:
        """(K,) factor of that of each track with all its descendants."""
        parent, depth, place = self._family
        # a link counts once in a lineage: of neighbours in the order of the tree, where their lines meet
        order = np.lexsort((place[self.against], self.link))
        link, against = self.link[order], self.against[order]
        same = np.flatnonzero(link[1:] == link[:-1])
        meet = _meeting(against[same], against[same + 1], parent, depth)
        there = np.flatnonzero(meet >= 0)
        total = self._own - self._sum(meet[there], self.log_none[link[same[there]]])
        for level in range(int(depth.max(initial=0)), 0, -1):
            at = np.flatnonzero(depth == level)
            np.add.at(total, parent[at], total[at])
        return np.exp(total)

    @cached_property
    def _own(self) -> Floats:
        return self._sum(self.against, self.log_none[self.link])

    def _sum(self, track: Ints, values: Floats) -> Floats:
        found = np.zeros(self.n_tracks)
        np.add.at(found, track, values)
        return found

    def _pairs(self) -> tuple[Ints, Ints]:
        """(Q,) links and the tracks that they go against, each pair once."""
        decided, links = self.decided, np.arange(len(self.left_out.mother))
        track = decided.tracks.track - 1
        pairs = [(links, track[self.left_out.daughter]), (links, track[self.left_out.mother])]
        # a track that ends at a gap needs the cell after it
        parent, child = decided.children
        heir = decided.load[decided.last[parent]] == 1
        before = np.full(len(track), -1)
        before[decided.first[child[heir]]] = parent[heir]
        pairs.append((links, before[self.left_out.daughter]))
        # and one that begins with a division that this was one
        begun = np.flatnonzero(decided.mother[decided.first] >= 0)
        order = np.argsort(decided.mother[decided.first[begun]], kind="stable")
        of_begun, begun = decided.mother[decided.first[begun]][order], begun[order]
        for k in range(2):
            at = np.searchsorted(of_begun, self.left_out.mother) + k
            inside = np.flatnonzero(at < len(begun))
            own = inside[of_begun[at[inside]] == self.left_out.mother[inside]]
            pairs.append((own, begun[at[own]]))
        link, against = (np.concatenate(column) for column in zip(*pairs, strict=True))
        known = against >= 0
        key = np.unique(link[known] * max(self.n_tracks, 1) + against[known])
        return np.divmod(key, max(self.n_tracks, 1))

    @cached_property
    def _family(self) -> tuple[Ints, Ints, Ints]:
        """(K,) parent of each track or -1, generations above it, and its place where lineages stand together."""
        above, child = self.decided.children
        parent, depth = np.full(self.n_tracks, -1), np.zeros(self.n_tracks, np.int64)
        parent[child] = above
        line = parent[child]
        while len(child):
            depth[child] += 1
            line = parent[line]
            child, line = child[line >= 0], line[line >= 0]
        levels = [np.flatnonzero(depth == level) for level in range(int(depth.max(initial=0)) + 1)]
        size = np.ones(self.n_tracks, np.int64)
        for at in levels[:0:-1]:
            np.add.at(size, parent[at], size[at])
        place = np.zeros(self.n_tracks, np.int64)
        place[levels[0]] = np.cumsum(size[levels[0]]) - size[levels[0]]
        for at in levels[1:]:
            at = at[np.argsort(parent[at], kind="stable")]
            before = np.cumsum(size[at]) - size[at]
            first = np.searchsorted(parent[at], parent[at])
            place[at] = place[parent[at]] + 1 + before - before[first]
        return parent, depth, place


def _meeting(one: Ints, other: Ints, parent: Ints, depth: Ints) -> Ints:
    """(Q,) the lowest track that both descend from, or are; -1 for none."""
    one, other = one.copy(), other.copy()
    while True:
        apart = np.flatnonzero((one != other) & (one >= 0) & (other >= 0))
        if not len(apart):
            return np.where((one < 0) | (other < 0), -1, one)
        up = depth[one[apart]] >= depth[other[apart]]
        one[apart[up]] = parent[one[apart[up]]]
        other[apart[~up]] = parent[other[apart[~up]]]
