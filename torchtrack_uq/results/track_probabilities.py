"""How likely it is that a whole track, its division, and all that descends from it are right."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.posterior.histories import Histories, n_daughters
from torchtrack_uq.results.tracklets import Tracklets

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
COLUMNS = (
    "track", "begin", "end", "parent", "n_cells", "p_track", "p_division", "p_lineage", "expected_errors", "mc_error",
    "exact",
)  # fmt: skip


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


def tracks_table(mother: Ints, tracks: Tracklets, histories: Histories | None) -> pd.DataFrame:
    """One row a track: the probability that it is right, from draws of whole histories.

    The posterior is the product over components (cells that compete, directly or over others). Within a component the
    probability that all is as decided is the share of draws in which it is; never a product of marginals. Over
    components it is the product of these shares, which is exact: so a track of thousands of frames has a probability
    although no draw may hold all of it.

    Args:
        mother: (N,) index of the chosen mother of each cell, -1 for none.
        tracks: Tracks of the chosen links.
        histories: Draws of the same cells; None where there is no posterior to draw from.

    Returns:
        Columns `track`, `begin`, `end`, `parent` as in `Tracklets`, `n_cells`, `p_track` (all of it is right, see
        `TrackDecisions`), `p_division` (both daughters are; NaN for tracks that do not divide), `p_lineage` (it and all
        its descendants are), `expected_errors` (number of wrong decisions along it: mothers of its cells, cells that
        divide in its midst, how it begins and ends), `mc_error` (standard error of `p_track` from the number of draws;
        for `exact` False from how much Markov chains differ) and `exact` (whether its draws are independent). NaN
        without histories.

    >>> from torchtrack_uq.results.tracklets import tracklets
    >>> mother = np.array([-1, 0, 1])
    >>> drawn = Histories(np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, -1], [-1, -1, 1]]), np.arange(3),
    ...     np.array([1, 2, 3]), np.full(4, True), np.zeros(4, int))
    >>> tracks_table(mother, tracklets(np.arange(3), mother), drawn)[["p_track", "p_lineage", "expected_errors"]]
       p_track  p_lineage  expected_errors
    0   0.5625     0.5625              0.5
    """
    decided = TrackDecisions(mother, tracks)
    table = tracks.table.copy()
    n_tracks = len(table)
    table["n_cells"] = np.bincount(tracks.track, minlength=n_tracks + 1)[1:]
    if histories is None or not n_tracks:
        for name in COLUMNS[5:]:
            table[name] = False if name == "exact" else np.nan
        return table[list(COLUMNS)]
    if histories.n_cells != len(mother):
        raise InputError(
            f"histories are of {histories.n_cells} cells, tracks of {len(mother)}; expected draws of the same "
            "cells"
        )
    as_decided = _AsDecided(decided, histories)
    track, cell, of_mother = decided.conditions()
    p, error = as_decided.shares(track, cell, of_mother, n_tracks)
    table["p_track"] = p
    dividing, daughter = decided.divisions()
    both = as_decided.shares(dividing, daughter, np.ones(len(daughter), np.bool_), n_tracks)[0]
    divides = np.zeros(n_tracks, np.bool_)
    divides[dividing] = True
    table["p_division"] = np.where(divides, both, np.nan)
    table["p_lineage"] = as_decided.shares_below(track, cell, of_mother, decided)
    table["expected_errors"] = as_decided.errors()
    table["mc_error"] = error
    rough = ~np.where(of_mother, *(histories.exact[c[cell]] for c in as_decided.components))
    table["exact"] = np.bincount(track[rough], minlength=n_tracks) == 0
    return table[list(COLUMNS)]


class _AsDecided:
    """In which draws each decision is as decided: bits of draws, only for decisions that are not so in all of them."""

    def __init__(self, decided: TrackDecisions, histories: Histories) -> None:
        self.decided, self.histories = decided, histories
        self.components = histories.daughter_component, histories.mother_component
        self.n_draws = len(histories)
        n_bytes = -(-self.n_draws // 8)
        self.same_mother, self.same_load = np.empty((2, histories.n_cells, n_bytes), np.uint8)
        for k, drawn in enumerate(histories.blocks(8)):
            self.same_mother[:, k] = np.packbits(drawn == decided.mother, axis=0)[0]
            self.same_load[:, k] = np.packbits(n_daughters(drawn) == decided.load, axis=0)[0]
        self.all = np.packbits(np.ones(self.n_draws, np.bool_))

    def bits(self, cell: Ints, of_mother: Bools) -> NDArray[np.uint8]:
        """(Q, B) of decisions."""
        return np.where(of_mother[:, None], self.same_mother[cell], self.same_load[cell])

    def doubtful(self, cell: Ints, of_mother: Bools) -> Ints:
        """Decisions that differ in some draw."""
        certain = [(bits == self.all).all(axis=1) for bits in (self.same_mother, self.same_load)]
        return np.flatnonzero(~np.where(of_mother, certain[0][cell], certain[1][cell]))

    def shares(
        self, track: Ints, cell: Ints, of_mother: Bools, n_tracks: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K,) probability that all of a track's decisions are right, and its standard error."""
        return self._products(*self._by_component(track, cell, of_mother), n_tracks)

    def shares_below(
        self, track: Ints, cell: Ints, of_mother: Bools, decided: TrackDecisions
    ) -> NDArray[np.float64]:
        """(K,) the same of each track with all its descendants, from the youngest tracks up."""
        n_tracks = len(decided.first)
        own = self._by_component(track, cell, of_mother)
        parts: list[list[tuple[Ints, NDArray[np.uint8]]]] = [[] for _ in range(n_tracks)]
        for k, begin, end in _runs(own[0]):
            parts[k].append((own[1][begin:end], own[2][begin:end]))
        parent = np.full(n_tracks, -1)
        parent[decided.children[1]] = decided.children[0]
        found = np.ones(n_tracks)
        for k in range(n_tracks - 1, -1, -1):  # tracks are numbered in the order in which they begin
            if not parts[k]:
                continue
            label, bits = (np.concatenate(part) for part in zip(*parts[k], strict=True))
            _, label, bits = _grouped(np.zeros(len(label), np.int64), label, bits)
            parts[k] = []
            found[k] = self._products(np.zeros(len(label), np.int64), label, bits, 1)[0][0]
            if parent[k] >= 0:
                parts[parent[k]].append((label, bits))
        return found

    def _by_component(
        self, track: Ints, cell: Ints, of_mother: Bools
    ) -> tuple[Ints, Ints, NDArray[np.uint8]]:
        """Track, component, and the draws in which all of the track's decisions there are right."""
        at = self.doubtful(cell, of_mother)
        component = np.where(of_mother[at], *(c[cell[at]] for c in self.components))
        return _grouped(track[at], component, self.bits(cell[at], of_mother[at]))

    def _products(
        self, track: Ints, component: Ints, bits: NDArray[np.uint8], n_tracks: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = self.n_draws
        count = np.bitwise_count(bits).sum(axis=1).astype(np.float64)
        share = count / n
        smooth = (count + 0.5) / (
            n + 1
        )  # so that what was seen in no draw, or in all, is not taken for certain
        variance = smooth * (1 - smooth) / n
        rough = np.flatnonzero(~self.histories.exact[component])
        if len(rough):
            chain = self.histories.chain
            of_chain = np.stack(
                [
                    np.bitwise_count(bits[rough] & np.packbits(chain == c)).sum(axis=1) / (chain == c).sum()
                    for c in range(int(chain.max()) + 1)
                ]
            )
            variance[rough] = np.maximum(variance[rough], of_chain.var(axis=0, ddof=1) / len(of_chain))
        with np.errstate(divide="ignore"):
            p = np.exp(np.bincount(track, np.log(share), n_tracks))
            # E[prod x^2] - (E prod x)^2 of independent shares
            square = np.exp(np.bincount(track, np.log(smooth**2 + variance), n_tracks))
        mean = np.exp(np.bincount(track, np.log(smooth), n_tracks))
        sure = (n + 0.5) / (n + 1)
        return p, np.sqrt(np.maximum(square - mean**2, p**2 * sure * (1 - sure) / n))

    def errors(self) -> NDArray[np.float64]:
        """(K,) expected number of wrong decisions along each track."""
        decided, n = self.decided, self.n_draws
        track, first, last = decided.tracks.track - 1, decided.first, decided.last
        n_tracks = len(first)

        def wrong(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
            found: NDArray[np.float64] = 1 - np.bitwise_count(bits).sum(axis=1) / n
            return found

        total = np.bincount(track, wrong(self.same_mother), minlength=n_tracks)
        inner = np.ones(len(track), np.bool_)
        inner[last] = False
        before = np.flatnonzero(inner[decided.mother] & (decided.mother >= 0))
        before = before[track[before] == track[decided.mother[before]]]
        # an inner cell with its heir, and one daughter more
        more = self.same_mother[before] & ~self.same_load[decided.mother[before]]
        total += np.bincount(track[before], np.bitwise_count(more).sum(axis=1) / n, minlength=n_tracks)
        begun = np.flatnonzero(decided.mother[first] >= 0)
        more = self.same_mother[first[begun]] & ~self.same_load[decided.mother[first[begun]]]
        total[begun] += np.bitwise_count(more).sum(axis=1) / n
        end = self.same_load[last].copy()
        parent, child = decided.children
        heir = decided.load[last[parent]] == 1
        end[parent[heir]] &= self.same_mother[first[child[heir]]]
        return total + wrong(end)


def _grouped(track: Ints, component: Ints, bits: NDArray[np.uint8]) -> tuple[Ints, Ints, NDArray[np.uint8]]:
    """The draws in which all of a track's decisions in a component are right, for each pair of these."""
    if not len(track):
        return track, component, bits
    order = np.lexsort((component, track))
    track, component = track[order], component[order]
    new = np.flatnonzero(np.append(True, (np.diff(track) != 0) | (np.diff(component) != 0)))
    return track[new], component[new], np.bitwise_and.reduceat(bits[order], new, axis=0)


def _runs(values: Ints) -> list[tuple[int, int, int]]:
    """Value, begin and end of each run of equal ones."""
    if not len(values):
        return []
    edges = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    return [(int(values[a]), int(a), int(b)) for a, b in pairwise(edges)]
