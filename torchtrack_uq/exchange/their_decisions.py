"""Each link, start, end and division of another tracking, with its probability and what is likelier instead."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.exchange.added_links import find_links
from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.truth.decisions import class_probabilities

Ints = NDArray[np.int64]
NO_CELL = "no cell of the masks"
NO_CANDIDATE = "no candidate of the scorer"
SECOND_MOTHER = "second mother"
THIRD_DAUGHTER = "third daughter"
COLUMNS = (
    "kind", "frame", "label", "id", "mother_frame", "mother", "mother_id", "probability", "alternative",
    "alternative_frame", "alternative_label", "alternative_probability", "possible", "reason",
)  # fmt: skip
"""Columns of `doubts.csv`, before the position."""
_WHOLE = ("label", "mother_frame", "mother", "mother_id", "alternative_frame", "alternative_label")


def feasible_links(
    tracks: TrackTable, cell: Ints, probabilities: LinkProbabilities
) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
    """Which of their links an assignment can hold together, and why not the others.

    Of several mothers of a cell the likeliest link counts, of three daughters and more the two likeliest.

    Args:
        tracks: L links.
        cell: (N,) cell of each spot, -1 for none.
        probabilities: Of the candidate links, theirs among them as far as these can be (`with_impossible`).

    Returns:
        (L,) bool, and (L,) reasons, empty for those that can.
    """
    mother, daughter = cell[tracks.mother], cell[tracks.daughter]
    reason = np.full(len(mother), "", dtype="<U32")
    reason[(mother < 0) | (daughter < 0)] = NO_CELL
    at = find_links(probabilities.graph, np.maximum(mother, 0), np.maximum(daughter, 0))
    reason[(reason == "") & (at < 0)] = NO_CANDIDATE
    p = (
        class_probabilities(probabilities)[0].numpy()[np.maximum(at, 0)]
        if probabilities.graph.n_links
        else 0 * at
    )
    for ends, most, why in ((daughter, 1, SECOND_MOTHER), (mother, 2, THIRD_DAUGHTER)):
        kept = np.flatnonzero(reason == "")
        order = kept[np.lexsort((-p[kept], ends[kept]))]
        first = np.searchsorted(ends[order], ends[order], side="left")
        reason[order[np.arange(len(order)) - first >= most]] = why
    return reason == "", reason


class TheirDecisions:
    """Rows of `doubts.csv`, one kind after the other.

    Args:
        tracks: N spots, L links.
        cell: (N,) cell of each spot, -1 for none.
        detections: The movie's cells.
        probabilities: Of its candidate links, theirs among them.
        impossible: (L,) why the model cannot hold a link, empty where it can.
        no_candidate: (L,) bool, links that the scorer offers no candidate for.
    """

    def __init__(
        self,
        tracks: TrackTable,
        cell: Ints,
        detections: Detections,
        probabilities: LinkProbabilities,
        impossible: NDArray[np.str_],
        no_candidate: NDArray[np.bool_],
    ) -> None:
        self.tracks, self.cell, self.detections = tracks, cell, detections
        self.impossible, self.no_candidate = impossible, no_candidate
        graph = probabilities.graph
        link, null = class_probabilities(probabilities)
        self.link, self.null = link.numpy(), null.numpy()
        self.graph_mother, self.graph_daughter = graph.mother.numpy(), graph.daughter.numpy()
        self.disappear = probabilities.disappear.detach().double().clamp(0, 1).numpy()
        self.divide = probabilities.divide.detach().double().clamp(0, 1).numpy()
        self.at = find_links(graph, np.maximum(cell[tracks.mother], 0), np.maximum(cell[tracks.daughter], 0))
        self.at[(cell[tracks.mother] < 0) | (cell[tracks.daughter] < 0)] = -1
        self._best_mother = _two_best(self.link, self.graph_daughter, graph.n_cells)
        self._best_daughter = _two_best(self.link, self.graph_mother, graph.n_cells)

    def table(self) -> pd.DataFrame:
        """All rows, the most doubtful first; what has no probability comes last."""
        rows = pd.concat([self.links(), self.starts(), self.ends(), self.divisions()], ignore_index=True)
        for name in _WHOLE:
            rows[name] = rows[name].astype("Int64")
        rows["possible"] = rows["possible"].astype(bool)
        order = rows.sort_values(["probability", "frame", "label"], kind="stable", na_position="last")
        return order.reset_index(drop=True)

    def links(self) -> pd.DataFrame:
        """One row a link; the alternative is another mother, or none."""
        tracks, known = self.tracks, self.at >= 0
        daughter = self.cell[tracks.daughter]
        p = np.where(known, self.link[np.maximum(self.at, 0)] if len(self.link) else 0.0, np.nan)
        matched = (self.cell[tracks.mother] >= 0) & (daughter >= 0)
        p = np.where(matched & ~known, 0.0, p)
        best, second = (part[np.maximum(daughter, 0)] for part in self._best_mother)
        other = np.where(best == self.at, second, best)
        other = np.where(matched, other, -1)
        reason = np.where((self.impossible == "") & self.no_candidate, NO_CANDIDATE, self.impossible)
        rows = self._rows("link", tracks.daughter, p, tracks.mother)
        rows = self._with_alternative(
            rows, other, self.graph_mother, "mother", self.null, daughter, "no mother"
        )
        return rows.assign(possible=self.impossible == "", reason=reason)

    def starts(self) -> pd.DataFrame:
        """One row a track that begins after their first frame; the alternative is the likeliest mother."""
        spots = np.flatnonzero((self.tracks.n_mothers == 0) & (self.tracks.frame > self.tracks.frame.min()))
        return self._events("start", spots, self.null, self._best_mother[0], self.graph_mother, "mother")

    def ends(self) -> pd.DataFrame:
        """One row a track that ends before their last frame; the alternative is the likeliest daughter."""
        spots = np.flatnonzero((self.tracks.n_daughters == 0) & (self.tracks.frame < self.tracks.frame.max()))
        return self._events(
            "end", spots, self.disappear, self._best_daughter[0], self.graph_daughter, "daughter"
        )

    def divisions(self) -> pd.DataFrame:
        """One row a cell with two daughters and more; the alternative is one daughter, or none."""
        spots = np.flatnonzero(self.tracks.n_daughters > 1)
        cell = self.cell[spots]
        known, at = cell >= 0, np.maximum(cell, 0)
        divide, disappear = self.divide[at], self.disappear[at]
        one = np.clip(1 - divide - disappear, 0, 1)
        rows = self._rows("division", spots, np.where(known, divide, np.nan))
        crowded = self.tracks.n_daughters[spots] > 2
        return rows.assign(
            alternative=np.where(known, np.where(one >= disappear, "one daughter", "no daughter"), ""),
            alternative_probability=np.where(known, np.maximum(one, disappear), np.nan),
            possible=known & ~crowded,
            reason=np.where(~known, NO_CELL, np.where(crowded, THIRD_DAUGHTER, "")),
        )

    def _events(
        self, kind: str, spots: Ints, event: NDArray[np.float64], best: Ints, ends: Ints, name: str
    ) -> pd.DataFrame:
        cell = self.cell[spots]
        known = cell >= 0
        rows = self._rows(kind, spots, np.where(known, event[np.maximum(cell, 0)], np.nan))
        other = np.where(known, best[np.maximum(cell, 0)], -1)
        rows = self._with_alternative(rows, other, ends, name)
        return rows.assign(possible=known, reason=np.where(known, "", NO_CELL))

    def _rows(
        self, kind: str, spot: Ints, p: NDArray[np.float64], mother: Ints | None = None
    ) -> pd.DataFrame:
        rows = pd.DataFrame(index=range(len(spot)), columns=[*COLUMNS])
        rows = rows.assign(kind=kind, frame=self.tracks.frame[spot], id=self.tracks.id[spot], probability=p)
        rows["label"] = self._label(self.cell[spot])
        if mother is not None:
            rows["mother_frame"], rows["mother_id"] = self.tracks.frame[mother], self.tracks.id[mother]
            rows["mother"] = self._label(self.cell[mother])
        rows["alternative_probability"] = np.full(len(spot), np.nan)
        cell = self.cell[spot]
        ours = self.detections.coords[np.maximum(cell, 0)]
        theirs = np.full_like(ours, np.nan) if self.tracks.coords is None else self.tracks.coords[spot]
        at = np.where((cell >= 0)[:, None], ours, theirs)
        for axis, values in zip("zyx"[-at.shape[1] :], at.T, strict=True):
            rows[axis] = values
        return rows

    def _label(self, cell: Ints) -> "pd.Series[int]":
        found = pd.Series(self.detections.label[np.maximum(cell, 0)], dtype="Int64")
        return found.mask(cell < 0)

    def _with_alternative(
        self,
        rows: pd.DataFrame,
        other: Ints,
        ends: Ints,
        name: str,
        none: NDArray[np.float64] | None = None,
        cell: Ints | None = None,
        none_name: str = "",
    ) -> pd.DataFrame:
        """Name the other link, or "none" where that is likelier."""
        has = other >= 0
        p = np.where(has, self.link[np.maximum(other, 0)] if len(self.link) else 0.0, np.nan)
        at = ends[np.maximum(other, 0)] if len(ends) else np.zeros(len(other), np.int64)
        text = np.where(has, name, "").astype("<U12")
        if none is not None and cell is not None:
            alone = np.where(cell >= 0, none[np.maximum(cell, 0)], np.nan)
            wins = (cell >= 0) & ~(p > alone)
            text, p, has = np.where(wins, none_name, text), np.where(wins, alone, p), has & ~wins
        rows["alternative"], rows["alternative_probability"] = text, p
        rows["alternative_frame"] = pd.Series(self.detections.frame[at], dtype="Int64").mask(~has)
        rows["alternative_label"] = pd.Series(self.detections.label[at], dtype="Int64").mask(~has)
        return rows


def _two_best(p: NDArray[np.float64], group: Ints, n: int) -> tuple[Ints, Ints]:
    """(n,) and (n,) index of the largest and of the second largest p of each group, -1 for none."""
    order = np.lexsort((-p, group))
    ranked = group[order]
    first = np.searchsorted(ranked, np.arange(n))
    found = []
    for k in range(2):
        at = first + k
        inside = at < len(order)
        there = (
            inside & (ranked[np.minimum(at, max(len(order) - 1, 0))] == np.arange(n))
            if len(order)
            else inside
        )
        found.append(
            np.where(there, order[np.minimum(at, len(order) - 1)], -1) if len(order) else np.full(n, -1)
        )
    return found[0].astype(np.int64), found[1].astype(np.int64)
