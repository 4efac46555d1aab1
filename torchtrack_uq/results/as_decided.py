"""In which draws of whole histories the decisions about tracks are right."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.results.decided_draws import Bits, DecidedDraws
from torchtrack_uq.results.track_decisions import Bools, Ints, TrackDecisions


class AsDecided:
    """Which decisions about tracks are right in the same draws."""

    def __init__(self, decided: TrackDecisions, draws: DecidedDraws) -> None:
        self.decided, self.draws = decided, draws
        self.components = draws.daughter_component, draws.mother_component
        self.same_mother, self.same_load = draws.same_mother, draws.same_load
        self.n_draws = len(draws)
        self.all = np.packbits(np.ones(self.n_draws, np.bool_))

    def bits(self, cell: Ints, of_mother: Bools) -> Bits:
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
        found = np.ones(len(decided.first))
        parent, depth = decided.family
        own = self._by_component(track, cell, of_mother)
        order = np.argsort(depth[own[0]], kind="stable")
        edge = np.searchsorted(depth[own[0]][order], np.arange(depth.max(initial=0) + 2))
        carried = own[0][:0], own[1][:0], own[2][:0]
        for level in range(len(edge) - 2, -1, -1):
            these = order[edge[level] : edge[level + 1]]
            label, component, bits = _grouped(
                np.concatenate([own[0][these], carried[0]]),
                np.concatenate([own[1][these], carried[1]]),
                np.concatenate([own[2][these], carried[2]]),
            )
            tracks, local = np.unique(label, return_inverse=True)
            found[tracks] = self._products(local, component, bits, len(tracks))[0]
            up = np.flatnonzero(parent[label] >= 0)
            carried = parent[label[up]], component[up], bits[up]
        return found

    def _by_component(self, track: Ints, cell: Ints, of_mother: Bools) -> tuple[Ints, Ints, Bits]:
        """Track, component, and the draws in which all of the track's decisions there are right."""
        at = self.doubtful(cell, of_mother)
        component = np.where(of_mother[at], *(c[cell[at]] for c in self.components))
        return _grouped(track[at], component, self.bits(cell[at], of_mother[at]))

    def _products(
        self, track: Ints, component: Ints, bits: Bits, n_tracks: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = self.n_draws
        count = np.bitwise_count(bits).sum(axis=1).astype(np.float64)
        share = count / n
        smooth = (count + 0.5) / (
            n + 1
        )  # so that what was seen in no draw, or in all, is not taken for certain
        variance = smooth * (1 - smooth) / n
        rough = np.flatnonzero(~self.draws.exact[component])
        if len(rough):
            chain = self.draws.chain
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

        def wrong(bits: Bits) -> NDArray[np.float64]:
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


def _grouped(track: Ints, component: Ints, bits: Bits) -> tuple[Ints, Ints, Bits]:
    """The draws in which all of a track's decisions in a component are right, for each pair of these."""
    if not len(track):
        return track, component, bits
    order = np.lexsort((component, track))
    track, component = track[order], component[order]
    new = np.flatnonzero(np.append(True, (np.diff(track) != 0) | (np.diff(component) != 0)))
    return track[new], component[new], np.bitwise_and.reduceat(bits[order], new, axis=0)
