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
        track = decided.tracks.track - 1
        self.of_daughter, self.of_mother = track[left_out.daughter], track[left_out.mother]
        self.two = self.of_daughter != self.of_mother
        self.more, self.against_more = self._more()

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
        return self._of_ends(self.left_out.probability)

    @property
    def lineage(self) -> Floats:
        """(K,) factor of that of each track with all its descendants."""
        parent, depth, place, root = self._family
        total = self._own.copy()

        def once(one: Ints, other: Ints, link: Ints) -> None:
            """A link counts once in a lineage: what two tracks count is taken back where their lines meet."""
            related = np.flatnonzero(root[one] == root[other])
            meet = _meeting(one[related], other[related], parent, depth)
            np.subtract.at(total, meet, self.log_none[link[related]])

        several = np.zeros(len(self.two), np.bool_)
        several[self.more] = True
        plain = np.flatnonzero(self.two & ~several)
        once(self.of_daughter[plain], self.of_mother[plain], plain)
        # of more than two, of neighbours in the order of the tree
        at = np.flatnonzero(several)
        pairs = [(at, self.of_daughter[at]), (at[self.two[at]], self.of_mother[at[self.two[at]]])]
        link, track = (
            np.concatenate(column) for column in zip(*pairs, (self.more, self.against_more), strict=True)
        )
        order = np.lexsort((place[track], link))
        link, track = link[order], track[order]
        same = np.flatnonzero(link[1:] == link[:-1])
        once(track[same], track[same + 1], link[same])
        for level in range(int(depth.max(initial=0)), 0, -1):
            at = np.flatnonzero(depth == level)
            np.add.at(total, parent[at], total[at])
        return np.exp(total)

    @cached_property
    def _own(self) -> Floats:
        return self._of_ends(self.log_none) + self._sum(self.against_more, self.log_none[self.more])

    def _of_ends(self, values: Floats) -> Floats:
        """(K,) sum over the links at each track's cells."""
        return self._sum(self.of_daughter, values) + self._sum(self.of_mother[self.two], values[self.two])

    def _sum(self, track: Ints, values: Floats) -> Floats:
        found = np.zeros(self.n_tracks)
        np.add.at(found, track, values)
        return found

    def _more(self) -> tuple[Ints, Ints]:
        """(Q,) links, and tracks that they go against although none of their ends is in them; each pair once."""
        decided, mother, daughter = self.decided, self.left_out.mother, self.left_out.daughter
        # a track that ends at a gap needs the cell after it
        parent, child = decided.children
        heir = decided.load[decided.last[parent]] == 1
        before = np.full(len(decided.mother), -1)
        before[decided.first[child[heir]]] = parent[heir]
        needed = before[daughter]
        of_heir = np.flatnonzero((needed >= 0) & (needed != self.of_mother))
        pairs = [(of_heir, needed[of_heir])]
        # and a track needs that its mother has no other daughters than were decided
        begun = np.flatnonzero(decided.mother[decided.first] >= 0)
        begun = begun[np.argsort(decided.mother[decided.first[begun]], kind="stable")]
        of_begun = decided.mother[decided.first[begun]]
        begins = np.zeros(len(decided.mother), np.bool_)
        begins[of_begun] = True
        at = np.flatnonzero(begins[mother])
        for k in range(2):
            place = np.searchsorted(of_begun, mother[at]) + k
            there = np.flatnonzero(place < len(begun))
            there = there[of_begun[place[there]] == mother[at[there]]]
            link, track = at[there], begun[place[there]]
            new = (track != self.of_daughter[link]) & (track != needed[link])
            pairs.append((link[new], track[new]))
        link, track = (np.concatenate(column) for column in zip(*pairs, strict=True))
        return link, track

    @cached_property
    def _family(self) -> tuple[Ints, Ints, Ints, Ints]:
        """(K,) of each track: parent or -1, generations above it, place where lineages stand together, and founder."""
        parent, depth = self.decided.family
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
        founder = np.arange(self.n_tracks)
        for at in levels[1:]:
            founder[at] = founder[parent[at]]
        return parent, depth, place, founder


def _meeting(one: Ints, other: Ints, parent: Ints, depth: Ints) -> Ints:
    """(Q,) the lowest track that both of one family descend from, or are."""
    one, other = one.copy(), other.copy()
    while True:
        apart = np.flatnonzero(one != other)
        if not len(apart):
            return one
        up = depth[one[apart]] >= depth[other[apart]]
        one[apart[up]] = parent[one[apart[up]]]
        other[apart[~up]] = parent[other[apart[~up]]]
