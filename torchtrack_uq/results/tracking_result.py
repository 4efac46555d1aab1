"""The result of tracking one movie, as tables, as a graph and as files."""

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.posterior.map_links import mothers_of
from torchtrack_uq.results.ctc import write_ctc
from torchtrack_uq.results.geff import write_geff
from torchtrack_uq.results.proof import proof_columns, proof_sentence, proved_exact, short_lists
from torchtrack_uq.results.tracklets import Tracklets, tracklets
from torchtrack_uq.truth.decisions import decision_probability
from torchtrack_uq.utils.files import staged_folder
from torchtrack_uq.utils.optional import import_optional
from torchtrack_uq.utils.registry import with_options

_EDGE_COLUMNS = ("score", "probability", "entropy")
_FILES = re.compile(
    r"mask\d+\.tif|links\.csv|cells\.csv|res_track\.txt|tracks\.geff|doubts\.png|report\.html"
)
_FLOAT_FORMAT = "%.6g"
DOUBTFUL_BELOW = 0.9
"""A decision is doubtful if its probability is below this."""


def check_can_save() -> None:
    """Refuse to begin where `TrackingResult.save` could not end.

    Raises:
        InputError: geff or matplotlib is not installed.
    """
    import_optional("geff", "files", "writing tracks.geff")
    import_optional("matplotlib", "files", "drawing doubts.png")


@dataclass(frozen=True, eq=False)
class TrackingResult:
    """Tracks of a movie with a probability for every candidate link.

    Attributes:
        movie: Images and masks.
        detections: The movie's N cells.
        probabilities: Probabilities of its E candidate links and of the events, on the CPU.
        selected: (E,) bool, the links of the MAP assignment.
        tracker: Name of the tracker that scored the links.
        temperature: Temperature of the probabilities.
        acceptance: Which decisions to accept without review; None makes no such promise.
    """

    movie: Movie
    detections: Detections
    probabilities: LinkProbabilities
    selected: NDArray[np.bool_]
    tracker: str
    temperature: float = 1.0
    acceptance: AcceptanceThreshold | None = None

    def with_acceptance(self, acceptance: AcceptanceThreshold | None) -> "TrackingResult":
        """The same result with decisions marked as accepted or for review.

        Args:
            acceptance: Fitted on decisions of the same tracker, method, temperature and stride, in movies like this.
        """
        return replace(self, acceptance=acceptance)

    @property
    def candidates(self) -> CandidateGraph:
        """All candidate links with the tracker's scores."""
        return self.probabilities.graph

    @cached_property
    def mother(self) -> NDArray[np.int64]:
        """(N,) index of the mother that each cell was linked to, or -1."""
        return mothers_of(self.candidates, self.selected)

    @cached_property
    def tracklets(self) -> Tracklets:
        """Tracks and divisions of the chosen links."""
        return tracklets(self.detections.frame, self.mother)

    @cached_property
    def links(self) -> pd.DataFrame:
        """One row per daughter and candidate mother, and one per daughter for "no mother" (`mother` 0).

        Columns: `frame` (of the daughter), `mother` and `daughter` (labels in their masks), `score`,
        `probability`, `selected`. The probabilities of a daughter's rows sum to 1. Cells of frame 0 are
        nobody's daughters and have no row. With `acceptance` also `accepted`: the selected rows that need no review.
        """
        graph, label = self.candidates, self.detections.label
        mother, daughter = graph.mother.numpy(), graph.daughter.numpy()
        orphan = np.flatnonzero(self.detections.frame > 0)
        cell = np.concatenate([daughter, orphan])
        table = pd.DataFrame(
            {
                "frame": self.detections.frame[cell],
                "mother": np.concatenate([label[mother], np.zeros(len(orphan), np.int64)]),
                "daughter": label[cell],
                "score": np.concatenate([graph.score.numpy(), graph.appear.numpy()[orphan]]),
                "probability": np.concatenate(
                    [self.probabilities.link.numpy(), self.probabilities.null.numpy()[orphan]]
                ),
                "selected": np.concatenate([self.selected, self.mother[orphan] < 0]),
            }
        )
        if self.acceptance is not None:
            table["accepted"] = table["selected"] & self.accepted[cell]
        return table.sort_values(["frame", "daughter", "mother"], ignore_index=True)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell.

        Columns: `frame`, `label`, `track`, `confidence` (probability of the likeliest mother or of none),
        `entropy` (nats), `p_appear`, `p_divide`, `p_disappear`, then the centroid (`z`), `y`, `x` in pixels, then what
        is proved: `exact` (whether the cell's probabilities as a daughter are right to 0.001), `error_bound` (on them)
        and `covered_mass` (share of its frame pair's posterior that was summed).
        What cannot be known is empty (NaN): confidence, entropy and p_appear in the first frame, p_divide
        and p_disappear in the last. With `acceptance` also `accepted` (nullable boolean, unknown in the first
        frame): whether the decision about the cell's mother needs no review.
        """
        frame, p = self.detections.frame, self.probabilities
        first, last = frame == 0, frame == self.detections.n_frames - 1

        def known(values: NDArray[np.floating], unknown: NDArray[np.bool_]) -> NDArray[np.floating]:
            return np.where(unknown, np.nan, values).astype(values.dtype)

        table = pd.DataFrame(
            {
                "frame": frame,
                "label": self.detections.label,
                "track": self.tracklets.track,
                "confidence": known(p.confidence.numpy(), first),
                "entropy": known(p.entropy.numpy(), first),
                "p_appear": known(p.null.numpy(), first),
                "p_divide": known(p.divide.numpy(), last),
                "p_disappear": known(p.disappear.numpy(), last),
            }
        )
        for axis, values in zip("zyx"[-self.detections.ndim :], self.detections.coords.T, strict=True):
            table[axis] = values
        table = table.assign(**proof_columns(p))
        if self.acceptance is not None:
            table.insert(3, "accepted", pd.Series(self.accepted, dtype="boolean").mask(first))
        return table

    @cached_property
    def decision_probability(self) -> NDArray[np.float64]:
        """(N,) probability of what was decided for each cell: its link, or "no mother"; NaN in frame 0.

        Resolved down to 1e-15 below 1, where the float32 probabilities of `links` are all 1.
        """
        probability = decision_probability(self.probabilities, self.selected).numpy()
        return np.where(self.detections.frame == 0, np.nan, probability)

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """(N,) decisions that need no review; False in frame 0, and everywhere without `acceptance`."""
        if self.acceptance is None:
            return np.zeros(len(self.detections), np.bool_)
        return self.acceptance.accept(self.decision_probability, self.mother >= 0)

    @cached_property
    def graph(self) -> "nx.DiGraph[int]":
        """The tracks as a directed graph, mother to daughter.

        Nodes are cell indices with the columns of `cells` (what is unknown is NaN, or None for `accepted`);
        edges have `score`, `probability` and `entropy` (of the daughter's distribution over mothers).
        """
        graph: nx.DiGraph[int] = nx.DiGraph()
        cells = self.cells.to_dict("records")
        graph.add_nodes_from(
            (i, {str(name): None if value is pd.NA else value for name, value in cell.items()})
            for i, cell in enumerate(cells)
        )
        for i, j, *known in self._edges.itertuples(index=False):
            graph.add_edge(int(i), int(j), **dict(zip(_EDGE_COLUMNS, known, strict=True)))
        return graph

    @cached_property
    def _edges(self) -> pd.DataFrame:
        """One row a chosen link: `mother`, `daughter` (cell indices), `score`, `probability`, `entropy`."""
        graph, p = self.candidates, self.probabilities
        daughter = graph.daughter.numpy()[self.selected]
        columns = (
            graph.score.numpy()[self.selected],
            p.link.numpy()[self.selected],
            p.entropy.numpy()[daughter],
        )
        return pd.DataFrame(
            {
                "mother": graph.mother.numpy()[self.selected],
                "daughter": daughter,
                **dict(zip(_EDGE_COLUMNS, columns, strict=True)),
            }
        )

    def review(self, n: int | None = None) -> pd.DataFrame:
        """Cells in the order in which a person should look at them, the most uncertain first.

        With `acceptance`, only those that are not accepted.

        Args:
            n: At most how many rows; all by default. Cells of the first frame are never listed.

        Returns:
            Columns `cell` (index among the detections, as `confirm` takes it), `frame`, `label`, `track`, `entropy`,
            `mother` (label that was chosen, or 0), `probability` (of that choice), then the centroid.
        """
        chosen = np.where(self.mother >= 0, self.detections.label[self.mother], 0)
        table = self.cells.assign(
            cell=np.arange(len(self.detections)), mother=chosen, probability=self.decision_probability
        )
        axes = list("zyx"[-self.detections.ndim :])
        table = table[["cell", "frame", "label", "track", "entropy", "mother", "probability", *axes]]
        ranked = table[(table["frame"] > 0) & ~self.accepted].sort_values(
            ["entropy", "probability"], ascending=[False, True], kind="stable"
        )
        return ranked.reset_index(drop=True).head(len(ranked) if n is None else n)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False, progress: bool = True) -> Path:
        """Write all outputs to a folder, either all of them or none.

        Writes `links.csv`, `cells.csv`, the Cell Tracking Challenge result (`res_track.txt`, `maskNNN.tif`),
        `tracks.geff` and a picture, `doubts.png`.

        Args:
            folder: New or empty folder; with `overwrite`, also one that holds earlier results.
            overwrite: Replace earlier results; other files in the folder stay.
            progress: Whether to show a progress bar.

        Returns:
            The folder.

        Raises:
            InputError: The folder holds files and `overwrite` is False, or geff or matplotlib is not installed.
        """
        check_can_save()
        from torchtrack_uq.results.picture import draw_doubts

        with staged_folder(Path(folder), overwrite=overwrite, ours=_FILES) as staging:
            self.links.to_csv(staging / "links.csv", index=False, float_format=_FLOAT_FORMAT)
            self.cells.to_csv(staging / "cells.csv", index=False, float_format=_FLOAT_FORMAT)
            write_ctc(staging, self.movie, self.detections, self.tracklets, progress=progress)
            write_geff(staging / "tracks.geff", self.cells, self._edges, self.detections.n_frames)
            figure = draw_doubts(self.movie, self.detections, self.probabilities, self.selected)
            figure.savefig(staging / "doubts.png", dpi=110, format="png", pil_kwargs={"compress_level": 3})
        return Path(folder)

    def summary(self) -> str:
        """A few lines: how much was tracked, how many decisions are doubtful, and where."""
        n_divisions = (
            int((np.bincount(self.mother[self.mother >= 0]) == 2).sum()) if (self.mother >= 0).any() else 0
        )
        daughters = self.detections.frame > 0
        doubtful = daughters & (self.decision_probability < DOUBTFUL_BELOW)
        n_links, n_decisions = int(self.selected.sum()), int(daughters.sum())
        share = doubtful.sum() / max(n_decisions, 1)
        method = with_options(self.probabilities.method, self.probabilities.options)
        lines = [
            f"{len(self.detections)} cells in {self.detections.n_frames} frames: {n_links} links, "
            f"{n_divisions} divisions, {len(self.tracklets.table)} tracks "
            f"({self.tracker}, {method}, T = {self.temperature:g})",
            f"{int(doubtful.sum())} of {n_decisions} decisions are doubtful ({share:.1%} below "
            f"probability {DOUBTFUL_BELOW:g})",
        ]
        exact = proved_exact(self.probabilities)
        if exact is not None:
            n_exact = int((exact & daughters).sum())
            lines.append(proof_sentence(n_exact, n_decisions, self.probabilities.options))
        if (short := short_lists(self.probabilities)) is not None:
            lines.append(short)
        if self.acceptance is not None:
            n_accepted = int(self.accepted.sum())
            lines.append(
                f"{n_accepted} of {n_decisions} decisions are accepted ({self.acceptance.promise}, if this movie is "
                f"like the annotated ones); {n_decisions - n_accepted} are for review"
            )
        if doubtful.any():
            counts = pd.Series(self.detections.frame[doubtful]).value_counts()
            frames = ", ".join(f"{t} ({n})" for t, n in counts.head(5).items())
            lines.append(f"most of them in frames {frames}")
            worst = self.review(3)
            spots = "; ".join(
                f"cell {row['label']} in frame {row['frame']} at "
                + ", ".join(f"{axis} {row[axis]:.0f}" for axis in "zyx"[-self.detections.ndim :])
                for row in worst.to_dict("records")
            )
            if spots:
                lines.append(f"look first at {spots}")
        return "\n".join(lines)
