"""The probabilities of another tracker's links, starts and ends."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from torchtrack_uq.calibration import Calibration
from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.added_links import find_links, probabilities_with_impossible, with_impossible
from torchtrack_uq.exchange.in_plain_words import doubts_in_words
from torchtrack_uq.exchange.match_cells import MAX_UNMATCHED, CellMatch, match_cells
from torchtrack_uq.exchange.read_tracks import read_tracks
from torchtrack_uq.exchange.their_decisions import TheirDecisions, feasible_links
from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.layers.temperature import TemperatureScaler
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FramesLike
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.csv_file import write_csv
from torchtrack_uq.results.own_files import OURS
from torchtrack_uq.results.provenance import input_paths
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.trackers.distance import DistanceTracker
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP
from torchtrack_uq.uncertain_tracker import UncertainTracker
from torchtrack_uq.utils.output_checks import check_apart
from torchtrack_uq.utils.staged_folder import staged_folder

_LONGEST = 5
"""Frames that candidate links span at most where nobody says: longer ones of theirs have probability 0."""


@dataclass(frozen=True, eq=False)
class ScoredTracks:
    """Another tracker's result with probabilities of its own links.

    Attributes:
        result: Their tracks as a `TrackingResult`: `selected` are their links, as far as an assignment can hold them,
            and `review`, `doubts`, `cells`, `links` and `save` are about these.
        tracks: What was read: N spots and L links.
        match: Which of the movie's cells each spot is.
        impossible: (L,) why the model cannot hold a link, empty where it can: a merge's second mother, a third
            daughter, a spot that is no cell of the masks, a link over more frames than the scorer's links span.
        no_candidate: (L,) bool, links that the scorer offers no candidate for; their probability is 0.
    """

    result: TrackingResult
    tracks: TrackTable
    match: CellMatch
    impossible: NDArray[np.str_]
    no_candidate: NDArray[np.bool_]

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """One row a link, start, end and division of theirs, the most doubtful first: what `doubts.csv` holds.

        Columns: `kind` ("link", "start", "end", "division"), `frame`, `label` and `id` of the cell (of a link the
        daughter; `id` is what it is called in their result), `mother_frame`, `mother` (label) and `mother_id` of a
        link; `probability` of the decision: of the link, of having no mother for a start, of no daughter for an end, of
        two daughters for a division; `alternative` (another "mother", "no mother", a "daughter", "one daughter", "no
        daughter"), its frame, label and probability; `possible` and `reason`: whether an assignment of at most one
        mother a cell and two daughters holds it, and what else is the matter; the position. A start in their first
        frame and an end in their last one are no decisions. Spots without a cell have no probability and come last.
        """
        return TheirDecisions(
            self.tracks,
            self.match.cell,
            self.result.detections,
            self.result.probabilities,
            self.impossible,
            self.no_candidate,
        ).table()

    def summary(self) -> str:
        """In a few lines: how many links there are, how many are expected to be wrong, and which to look at first."""
        return doubts_in_words(self.tracks, self.match.sentence(), self.decisions, self.result)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False, progress: bool = True) -> Path:
        """Write what `TrackingResult.save` writes, of their tracks, and `doubts.csv`; all of it or nothing.

        Args:
            folder: New or empty folder; with `overwrite`, also one that holds earlier results.
            overwrite: Replace earlier results; other files in the folder stay.
            progress: Whether to show a progress bar.

        Raises:
            InputError: As `TrackingResult.save`.
        """
        check_apart(Path(folder), input_paths(self.result.movie))
        with staged_folder(Path(folder), overwrite=overwrite, ours=OURS) as staging:
            self.result.save(staging, progress=progress)
            write_csv(staging / "doubts.csv", self.decisions)
        return Path(folder)


def score_tracks(
    tracks: Any,
    masks: FramesLike | None = None,
    imgs: FramesLike | None = None,
    *,
    tracker: str | Tracker = "distance",
    method: str | nn.Module = "auto",
    temperature: float | TemperatureScaler | Calibration | str | os.PathLike[str] | None = None,
    max_gap: int | None = None,
    device: str | None = None,
    stride: int = 1,
    voxel_size: Sequence[float] | None = None,
    interval: float | None = None,
    pixel_size: float | Sequence[float] | None = None,
    first_frame: int = 0,
    max_unmatched: float = MAX_UNMATCHED,
    progress: bool = True,
    **reading: Any,
) -> ScoredTracks:
    """Give every link, start and end of a finished tracking its probability under a scorer.

    Candidate links are scored as `UncertainTracker` would track the movie, and the posterior over all assignments says
    how likely each of their decisions is. It knows nothing of how they were made. Links that the scorer offers no
    candidate for have probability 0, and say so.

    Args:
        tracks: A `TrackTable`, or what `read_tracks` takes.
        masks: The label masks that were tracked: spots are their cells, by label or by position, see `match_cells`.
            None: those of a Cell Tracking Challenge result, else spots are points.
        imgs: The images, for scorers that look at them.
        tracker: What scores the links, as for `UncertainTracker`; without masks "distance".
        method: As for `UncertainTracker`.
        temperature: As for `UncertainTracker`; by default what other movies say.
        max_gap: How many frames candidate links span; by default as many as theirs, from 2 to 5, or as the calibration
            says; a tracker that is an object has its own.
        device: As for `UncertainTracker`.
        stride: The tracking is of every `stride`-th frame of the masks, and counts these.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x).
        interval: Seconds between frames.
        pixel_size: Size of a pixel in the units of their coordinates, see `read_tracks`.
        first_frame: What their first frame is called, see `read_tracks`.
        max_unmatched: Largest share of their spots that may be no cell of the masks.
        progress: Whether to show progress bars.
        reading: How to read images and masks that do not say it themselves: `axes`, `channel` and the like, as
            `Movie.open` takes them.

    Raises:
        InputError: As `read_tracks`, `match_cells` and `UncertainTracker`.

    >>> tracks = TrackTable("mine", [0, 0, 1, 1], np.array([[5.0, 5], [5, 25], [5, 7], [5, 24]]), [0, 1], [3, 2])
    >>> scored = score_tracks(tracks)  # they are linked crosswise
    >>> scored.decisions[["kind", "frame", "label", "mother", "alternative_label"]]
       kind  frame  label  mother  alternative_label
    0  link      1      2       1                  2
    1  link      1      1       2                  1
    """
    if isinstance(masks, pd.DataFrame):
        raise InputError(
            "masks is a DataFrame; several tables of one tracking go in together, as in "
            "score_tracks((track_df, split_df, merge_df), masks)"
        )
    table = read_tracks(tracks, pixel_size=pixel_size, first_frame=first_frame, progress=progress)
    if isinstance(temperature, str | os.PathLike):
        temperature = Calibration.load(temperature)
    by_name = isinstance(tracker, str)
    if by_name and max_gap is None and not isinstance(temperature, Calibration):
        max_gap = longest_links(table)
    scorer = UncertainTracker(tracker, method, temperature, device, max_gap=max_gap)
    movie, detections, match = _cells(
        table, masks, imgs, stride, voxel_size, interval, max_unmatched, progress, reading, scorer.tracker
    )
    found = scorer.track_detections(detections, movie, progress=progress)
    mother, daughter, missing = _no_candidates(found, table, match)
    probabilities, scaled = found.probabilities, found.scaled
    if len(mother):
        probabilities = probabilities_with_impossible(probabilities, mother, daughter)
        scaled = None if scaled is None else with_impossible(scaled, mother, daughter)[0]
    feasible, impossible = feasible_links(table, match.cell, probabilities)
    at = find_links(
        probabilities.graph, match.cell[table.mother[feasible]], match.cell[table.daughter[feasible]]
    )
    selected = np.zeros(probabilities.graph.n_links, np.bool_)
    selected[at] = True
    result = replace(
        found,
        probabilities=probabilities,
        scaled=scaled,
        selected=selected,
        tracks_given=True,
        tracker=f"{table.source}, scored by {scorer.tracker.name}",
    )
    return ScoredTracks(result, table, match, impossible, missing)


def longest_links(tracks: TrackTable) -> int:
    """How many frames candidate links span where nobody says: as many as theirs, from `DEFAULT_MAX_GAP` to 5."""
    return int(np.clip(tracks.gap.max(initial=1), DEFAULT_MAX_GAP, _LONGEST))


def dimensions_of_tracks(
    tracks: TrackTable,
    masks: FramesLike | None = None,
    imgs: FramesLike | None = None,
    stride: int = 1,
    **reading: Any,
) -> int:
    """Dimensions in space of a tracking: of its positions, or where it has none of the masks, given or its own.

    Args:
        tracks: What was read.
        masks: As for `score_tracks`.
        imgs: Likewise.
        stride: Likewise.
        reading: As `Movie.open` takes it.

    Raises:
        InputError: Masks or images that cannot be read.

    >>> dimensions_of_tracks(TrackTable("mine", [0, 1], np.zeros((2, 3)), [0], [1]))
    3
    """
    masks = tracks.masks if masks is None else masks
    if tracks.coords is not None:
        return int(tracks.coords.shape[1])
    return 2 if masks is None else len(Movie.open(imgs, masks, stride, **reading).frame_shape)


def _cells(
    table: TrackTable,
    masks: FramesLike | None,
    imgs: FramesLike | None,
    stride: int,
    voxel_size: Sequence[float] | None,
    interval: float | None,
    max_unmatched: float,
    progress: bool,
    reading: Mapping[str, Any],
    tracker: Tracker,
) -> tuple[Movie | None, Detections, CellMatch]:
    """The movie's cells, and which of them each spot is."""
    masks = table.masks if masks is None else masks
    if masks is not None:
        movie = Movie.open(imgs, masks, stride, voxel_size=voxel_size, interval=interval, **reading)
        if isinstance(tracker, DistanceTracker):
            tracker.check_voxel_size(movie.voxel_size)
        cells = Detections.from_movie(movie, progress=progress)
        return movie, cells, match_cells(table, cells, movie, max_unmatched=max_unmatched)
    if imgs is not None or stride != 1:
        raise InputError(
            "images and a stride are of use only beside masks, which are missing; give the masks too"
        )
    if useless := [name for name, value in reading.items() if value not in (None, "refuse")]:
        raise InputError(
            f"{', '.join(useless)} say how masks and images are read, and there are none; give the masks too, or leave "
            "them out"
        )
    if table.coords is None:
        raise InputError(
            f"{table.source}: the result knows cells by their labels only; give the masks that were tracked"
        )
    if table.unit not in (None, "pixel") and voxel_size is not None:
        raise InputError(
            f"{table.source}: positions are in {table.unit}, where a voxel has size 1; give pixel_size in place of "
            "voxel_size"
        )
    step = int(np.gcd.reduce(table.frame - table.frame.min()))
    if step > 1:
        raise InputError(
            f"{table.source}: frames are numbered in steps of {step}; expected 0, 1, 2, ...: divide by {step} "
            "(are they times?)"
        )
    size = None if voxel_size is None else tuple(float(edge) for edge in voxel_size)
    points = Detections.from_points(table.frame, table.coords, sort=True, voxel_size=size, interval=interval)
    return None, points, CellMatch(points.cell_of_row(np.arange(len(table))), "points")


def _no_candidates(
    found: TrackingResult, table: TrackTable, match: CellMatch
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs of cells to be added as links of score -inf; (L,) bool, their links that are no candidates."""
    graph = found.candidates
    mother, daughter = match.cell[table.mother], match.cell[table.daughter]
    known = (mother >= 0) & (daughter >= 0)
    at = find_links(graph, np.maximum(mother, 0), np.maximum(daughter, 0))
    missing: NDArray[np.bool_] = known & (at < 0)
    added = missing & ((graph.max_gap > 1) | (table.gap == 1))
    return mother[added], daughter[added], missing
