"""The result of tracking one movie, as tables, as a graph and as files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.guarantees.annotation_sample import RANDOM
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FramesLike
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.posterior.false_cells import KnownFalse
from torchtrack_uq.posterior.map_links import mothers_of
from torchtrack_uq.results.cells_table import cells_table
from torchtrack_uq.results.corrected import corrected_fields
from torchtrack_uq.results.doubts import CellDoubts
from torchtrack_uq.results.in_words import summary
from torchtrack_uq.results.known_tracks import tracks_of
from torchtrack_uq.results.lineage_statistics import LineageStatistics, lineage_statistics
from torchtrack_uq.results.links_table import links_table
from torchtrack_uq.results.provenance import with_corrections
from torchtrack_uq.results.review_table import review_table
from torchtrack_uq.results.save import save_result
from torchtrack_uq.results.state import load_state, state_bytes
from torchtrack_uq.results.state_checks import PLAIN
from torchtrack_uq.results.to_annotate import to_annotate
from torchtrack_uq.results.tracklets import Tracklets, tracklets
from torchtrack_uq.utils.crew import Crew

if TYPE_CHECKING:
    import networkx as nx

CORRECTED = "movie", "detections", "probabilities", "scaled", "border_share"
_EDGE_COLUMNS = ("score", "probability", "entropy")


@dataclass(frozen=True, eq=False)
class TrackingResult:
    """Tracks of a movie with a probability for every candidate link.

    Attributes:
        movie: Images and masks; None where cells are points.
        detections: The movie's N cells.
        probabilities: Probabilities of its E candidate links and of the events, on the CPU.
        selected: (E,) bool, the links of the MAP assignment.
        tracker: Name of the tracker that scored the links.
        temperature: Temperature of the probabilities.
        acceptance: Which decisions to accept without review; None makes no such promise.
        scaled: The candidate links with the scores that the probabilities are of (`UncertaintyLayer.tempered`), from
            which `p_false` is summed; without them it is a product of marginals, see `false_cells`.
        border_share: (N,) share of each cell's appearing and disappearing that is due to the border, by an
            `EventModel`; without it, all of it near the border and nothing far inside, see `CellDoubts`.
        prior: Name of the prior that temperature and event scores are from, None for others.
        settings: How it was made, plain values by name (`run_settings`); they go into `settings.json` and the graphs.
        calibrated: Whether temperature, and event scores if need be, were fitted to annotated cells.
        annotated: How many of the decisions that they were fitted to are right, by probability; for `report.html`.
        known_false: What was known of false cells before a correction, see `false_cells`.
        decided: (N,) bool, cells that a person decided about (`correct`), which no list asks about again; None: none.
        tracks_given: Whether `selected` are another tracker's; corrections then leave what does not follow from them.
    """

    movie: Movie | None
    detections: Detections
    probabilities: LinkProbabilities
    selected: NDArray[np.bool_]
    tracker: str
    temperature: float = 1.0
    acceptance: AcceptanceThreshold | None = None
    scaled: CandidateGraph | None = None
    border_share: Mapping[str, Tensor] | None = None
    prior: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    calibrated: bool = False
    annotated: ReviewStatistic | None = None
    known_false: KnownFalse | None = None
    decided: NDArray[np.bool_] | None = None
    tracks_given: bool = False

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
        """Tracks, gaps and divisions of the chosen links."""
        return tracklets(self.detections.frame, self.mother)

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """One row a track: the probability that it, its division and its lineage are right; see `tracks_table`."""
        known: Any = {"naming": self.detections.naming, "probabilities": self.probabilities}
        return tracks_of(self.mother, self.tracklets, self.scaled, **known)

    @cached_property
    def doubts(self) -> CellDoubts:
        """What may be wrong with each cell, and how likely it is."""
        return CellDoubts.of(
            self.detections,
            self.probabilities,
            self.selected,
            self.detections.field_shape if self.movie is None else self.movie.frame_shape,
            self.scaled,
            self.border_share,
            self.known_false,
        )

    @cached_property
    def links(self) -> pd.DataFrame:
        """One row per daughter and candidate mother, and one per daughter for "no mother" (`mother` 0).

        Columns: `frame` (of the daughter), `mother` and `daughter` (labels in their masks), `score`,
        `probability`, `selected`, and last, so that the others stay where they were, `mother_frame` (nullable integer,
        empty for "no mother": 0 is a frame). The probabilities of a daughter's rows sum to 1. Cells of frame 0 are
        nobody's daughters and have no row. Points have their table's own frame numbers and ids, here and in all
        outputs; where these ids are text, or not from 1 on, `mother` is empty for "no mother". With `acceptance` also
        `accepted`: the selected rows that need no review.
        """
        accepted = None if self.acceptance is None else self.accepted
        return links_table(self.detections, self.probabilities, self.selected, self.mother, accepted)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell.

        Columns: `frame`, `label`, `track`, `confidence` (probability of the likeliest mother or of none),
        `entropy` (nats), `p_appear`, `p_divide`, `p_disappear`, what the segmentation may have done wrong: `p_missed`
        (in the frame before: a link over a gap), `p_false` (neither mother nor daughter), `p_merged` (several cells),
        `p_split` (a part of one), then the centroid (`z`), `y`, `x` in pixels, then what is proved: `exact` (whether
        the cell's probabilities as a daughter are right to 0.001), `error_bound` (on them) and `covered_mass` (share of
        the posterior of its frame pair, or of the movie where links skip frames, that was summed).
        What cannot be known is empty (NaN): confidence, entropy and p_appear in the first frame, p_divide
        and p_disappear in the last, p_false in both, p_missed in frames 0 and 1 and where links skip no frames.
        Last (`z_um`,) `y_um`, `x_um` and `time_s`, where voxel size and interval are known (`physical_columns`).
        With `acceptance` also `accepted` (nullable boolean, unknown in the first frame): whether to skip its review.
        """
        accepted = None if self.acceptance is None else self.accepted
        return cells_table(self.detections, self.tracklets, self.probabilities, self.doubts, accepted)

    @cached_property
    def decision_probability(self) -> NDArray[np.float64]:
        """(N,) probability of what was decided for each cell: its link, or "no mother"; NaN in frame 0.

        Resolved down to 1e-15 below 1, where the float32 probabilities of `links` are all 1.
        """
        return self.doubts.decision

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """(N,) decisions that need no review; False in frame 0, and everywhere without `acceptance`."""
        if self.acceptance is None:
            return np.zeros(len(self.detections), np.bool_)
        return self.acceptance.accept(self.decision_probability, self.mother >= 0)

    @cached_property
    def graph(self) -> "nx.DiGraph[int]":
        """The tracks as a directed graph, mother to daughter, over gaps too.

        Nodes are cell indices with the columns of `cells` (what is unknown is NaN, or None for `accepted`);
        edges have `score`, `probability` and `entropy` (of the daughter's distribution over mothers).
        """
        from torchtrack_uq.results.track_graph import track_graph

        return track_graph(self.cells, self.edges)

    @cached_property
    def edges(self) -> pd.DataFrame:
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
        """Cells in the order in which a person should look at them, the most doubtful first.

        The doubt of a cell is the probability of the likeliest thing that may be wrong with it: the decision about its
        mother, a cell that was missed before, a detection that is false, merged or split, an appearance or an end
        inside the field (half of it, as half of them may be true). So a decision that is sure is high on the list where
        what it says is unusual. Of equal doubts the larger entropy comes first. Cells that a person decided about, and
        with `acceptance` those that are accepted, are not listed.

        Args:
            n: At most how many rows; all by default. Cells of the first frame are never listed.

        Returns:
            Columns `cell` (index among the detections, as `confirm` takes it), `frame`, `label`, `track`, `entropy`,
            `mother` (label that was chosen, or 0), `probability` (of that choice), the centroid, then `mother_frame`
            (empty for none), `doubt` and `reason` (what is likeliest to be wrong, see `CellDoubts` and `REASONS`).
        """
        return review_table(self, n)

    def lineage_statistics(self, n: int | None = None, level: float = 0.9) -> LineageStatistics:
        """Counts over time, division rate, cycle length with credible intervals; see `lineage_statistics`."""
        return lineage_statistics(self.detections, self.scaled, n, level)

    def to_annotate(self, n: int = 100, *, seed: int = 0, random: float = RANDOM) -> pd.DataFrame:
        """Daughters to annotate, drawn so that what they show holds for the movie; see `to_annotate`.

        Args:
            n: How many.
            seed: Of the draw.
            random: Share that is spread evenly, the rest where decisions are doubtful; 1 for all evenly.
        """
        return to_annotate(self.cells, self.links, n, seed=seed, random=random)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        masks: bool = True,
        progress: bool = True,
        crew: Crew | None = None,
    ) -> Path:
        """Write all outputs to a folder, either all of them or none.

        These are `links.csv`, `cells.csv`, `tracks.csv`, `review.csv`, `report.html`, `doubts.png`, both geff graphs,
        `res_track.txt` with `maskNNN.tif` where there are masks (CTC format), `settings.json` and `state.npz`.

        Args:
            folder: New or empty, and returned.
            overwrite: Replace earlier results in it; other files stay.
            masks: Whether to write masks labelled by track, which take most room; without them `load` opens yours.
            crew: Who relabels masks, see `UncertainTracker.track_movie`.
            progress: Whether to show a progress bar.

        Raises:
            InputError: See `torchtrack_uq.results.save.save_result`.
        """
        return save_result(self, folder, overwrite=overwrite, masks=masks, crew=crew, progress=progress)

    def state(self, *, masks: bool = True) -> bytes:
        """Everything but the pixels, to the last digit: `state.npz`; `masks`: whether masks by track lie beside it."""
        return state_bytes(self, {name: getattr(self, name) for name in PLAIN}, masks=masks)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        images: FramesLike | None = None,
        masks: FramesLike | None = None,
    ) -> "TrackingResult":
        """A result as `save` wrote it.

        Args:
            folder: As given to `save`.
            images: The movie's images; by default those that it was tracked with, if they are still in their place.
            masks: The masks that were tracked; by default those in the folder, with the labels that cells had; where
                there are none, those that were tracked, if they are still in their place.

        Raises:
            InputError: No result, a damaged one, one of another version, or pixels of another movie.
        """
        return cls(**load_state(Path(folder), images, masks))

    def correct(self, decisions: Decisions) -> "TrackingResult":
        """The result given that a person is right about some cells; see `torchtrack_uq.results.corrected`.

        What was promised of decisions (`acceptance`) was promised of the tracker's, and is dropped.

        Args:
            decisions: As `read_decisions` reads them from a table.

        Raises:
            InputError: Decisions that contradict each other, or a method that sums over no assignments.
        """
        changed = corrected_fields(
            decisions,
            **{name: getattr(self, name) for name in CORRECTED},
            known_false=self.doubts.known_false(self.probabilities) if "doubts" in vars(self) else None,
            decided=self.decided,
            given=self.selected if self.tracks_given else None,
        )
        done = with_corrections(self.settings, int(decisions.known.sum()), int(decisions.bad.sum()))
        return replace(self, **changed, settings=done)

    def summary(self) -> str:
        """A few lines: how much was tracked, how many decisions and detections are doubtful, and where."""
        return summary(self)
