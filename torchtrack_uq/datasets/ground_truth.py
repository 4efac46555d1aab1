"""Ground truth: the cells of an annotated movie and the true mother of each, at any temporal stride."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match_counts import MatchCounts
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True)
class AnnotatedMovie:
    """Detections whose tracks are those of a known lineage, as far as they are annotated.

    A daughter's true mother is its ancestor in the frame before, where "before" is `detections.stride`
    frames of the recording ago: lineages are followed through skipped frames and through divisions in
    them, so that a mother may have more than two daughters (see `crowded_mothers`).

    Attributes:
        name: What to call the movie.
        detections: N cells.
        lineage: The tracks, in frames of the recording.
        first_frame: Frame t of the detections is frame first_frame + t * detections.stride of the recording.
        track: (N,) int64, which track each cell belongs to, 0 for a cell without a truth of its own: one that nobody
            annotated, a false positive, or one that covers several annotated cells. None (as where the detections
            were measured on the annotation itself): the labels are the tracks.
        annotated: (N,) bool, the cells whose mother, or that they have none, is known; None for all with a track.
        complete: Whether every cell of the recording is annotated, so that a track without parent is a cell that
            appears. Where it is not, such a cell may well have a mother that nobody annotated: it is not known.
        movie: The pixels that the cells were measured on: masks, and images where there are any. None for points.
        counts: How detections and annotated cells match, where the detections come from a segmentation of their own.

    Raises:
        InputError: A cell's track is not listed, stands twice in a frame, or does not exist in that frame.

    >>> cells = Detections.from_points(np.array([0, 1, 1, 1]), np.zeros((4, 2)))
    >>> lineage = Lineage.from_rows([(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1)])
    >>> movie = AnnotatedMovie("a division and a false positive", cells, lineage, track=np.array([1, 2, 0, 3]))
    >>> movie.mother, movie.has_target
    (array([-1,  0, -1,  0]), array([False,  True, False,  True]))
    """

    name: str
    detections: Detections
    lineage: Lineage
    first_frame: int = 0
    track: NDArray[np.int64] | None = None
    annotated: NDArray[np.bool_] | None = None
    complete: bool = True
    movie: Movie | None = None
    counts: MatchCounts | None = None

    def __post_init__(self) -> None:
        n, frame, track = len(self.detections), self.recording_frame, self.tracks
        for name, column, kind in (("track", self.track, "i"), ("annotated", self.annotated, "b")):
            if column is not None and (column.shape != (n,) or column.dtype.kind != kind):
                wanted = "int64" if kind == "i" else "bool"
                raise InputError(
                    f"{self.name}: {name} is {column.shape} of {column.dtype}; expected ({n},) {wanted}, one a cell"
                )
        if self.movie is not None and self.movie.n_frames != self.detections.n_frames:
            raise InputError(
                f"{self.name}: the cells lie in {self.detections.n_frames} frames but the movie has "
                f"{self.movie.n_frames}; expected the movie that they were measured on"
            )
        row, has_track = self.lineage.rows_of(track), track > 0
        for i in np.flatnonzero(has_track & (row < 0)):
            raise InputError(f"{self.name}: label {track[i]} in frame {frame[i]} is not listed as a track")
        outside = (
            (frame < self.lineage.begin[row]) | (frame > self.lineage.end[row])
            if len(self.lineage)
            else row > 0
        )
        for i in np.flatnonzero(has_track & outside):
            raise InputError(
                f"{self.name}: label {track[i]} stands in frame {frame[i]}, but that track is listed "
                f"from frame {self.lineage.begin[row[i]]} to {self.lineage.end[row[i]]}"
            )
        key = np.sort(self._key(frame, track)[has_track])
        for twice in key[1:][np.diff(key) == 0]:
            t, label = divmod(int(twice), self._n_labels)
            raise InputError(
                f"{self.name}: two cells of frame {t} belong to track {label}; expected one at most"
            )

    def __len__(self) -> int:
        return len(self.detections)

    def targets(self) -> LinkTargets:
        """The true mothers as tensors on the CPU; what the annotation leaves open is not known there either."""
        return LinkTargets(
            torch.from_numpy(self.mother.copy()),
            torch.from_numpy(self.has_target.copy()),
            torch.from_numpy(self.daughters_known.copy()),
        )

    @property
    def recording_frame(self) -> NDArray[np.int64]:
        """(N,) int64, frame of each cell in the recording."""
        return self.first_frame + self.detections.frame * self.detections.stride

    @property
    def tracks(self) -> NDArray[np.int64]:
        """(N,) int64, track of each cell, 0 for a cell without a truth of its own."""
        return self.detections.label if self.track is None else self.track

    @cached_property
    def has_target(self) -> NDArray[np.bool_]:
        """(N,) bool, the daughters that can be judged: those whose true mother, or that they have none, is known.

        Not known are the cells of the first frame, which have no frame before them; cells without a track and
        those that are not `annotated`; daughters whose mother is annotated in the frame before but was not
        detected there (see `missed_mother`); and, unless the annotation is `complete`, cells without mother.
        """
        return self._is_daughter & ((self.mother >= 0) | (self.complete & ~self.missed_mother))

    @cached_property
    def missed_mother(self) -> NDArray[np.bool_]:
        """(N,) bool, annotated daughters whose mother is annotated in the frame before, but is no detection there.

        Without her, "no mother" is the right decision. The annotation does not say so: the mother may be part of
        a detection that covers two cells, to which a link would be no error either; and judging such daughters
        would fit the score of appearing to the errors of a segmentation. So they are not known, and counted.
        """
        if self.track is None:  # whatever the annotation shows is detected: a gap in it is a gap in the line
            return np.zeros(len(self), dtype=np.bool_)
        before = self._frame_before
        row = self.lineage.rows_of(self._ancestor)
        lives = (row >= 0) & (before <= self.lineage.end[row]) if len(self.lineage) else row >= 0
        return self._is_daughter & lives & (self.mother < 0)

    @cached_property
    def mother(self) -> NDArray[np.int64]:
        """(N,) int64: index of each cell's true mother among the detections, -1 for none (null).

        Null are cells that enter the field of view, whose line has a gap in the frame before, or that
        stand in the first frame; also those whose mother is not known, see `has_target`.
        """
        key = self._key(self.recording_frame, self.tracks)
        order = np.argsort(key, kind="stable")
        wanted = self._key(self._frame_before, self._ancestor)
        index = order[np.minimum(np.searchsorted(key, wanted, sorter=order), max(len(key) - 1, 0))]
        found = self._is_daughter & (self._ancestor > 0) & (key[index] == wanted)
        return np.where(found, index, -1).astype(np.int64)

    @cached_property
    def daughters_known(self) -> NDArray[np.bool_]:
        """(N,) bool, the mothers of which it is known which daughters they have, and whether they have any.

        They have a track, stand before the last frame, and every cell of the next frame that descends from
        them is among the detections. Where only some cells are annotated, all cells of the next frame must be.
        """
        cells = self.detections
        known = (self.tracks > 0) & (cells.frame < cells.n_frames - 1)
        if self.annotated is not None or not self.complete:
            whole = np.ones(cells.n_frames + 1, dtype=np.bool_)
            whole[cells.frame[~self.has_target]] = False
            known &= whole[cells.frame + 1]
        if self.track is not None:
            known &= ~self._has_missed_daughter
        return known

    @cached_property
    def _has_missed_daughter(self) -> NDArray[np.bool_]:
        """(N,) bool, whether a cell that descends from this one lives in the next frame without being a detection."""
        cells, missed = self.detections, np.zeros(len(self), dtype=np.bool_)
        for t in range(cells.n_frames - 1):
            mothers, next_cells = cells.in_frame(t), cells.in_frame(t + 1)
            now = self.first_frame + t * cells.stride
            then = now + cells.stride
            absent = np.setdiff1d(self.lineage.alive(then), self.tracks[next_cells])
            ancestor = self.lineage.ancestor(absent, np.full(len(absent), now))
            missed[mothers] = np.isin(self.tracks[mothers], ancestor[ancestor > 0])
        return missed

    @cached_property
    def _is_daughter(self) -> NDArray[np.bool_]:
        """(N,) bool, cells after the first frame that are annotated."""
        annotated = (self.detections.frame > 0) & (self.tracks > 0)
        return annotated if self.annotated is None else annotated & self.annotated

    @property
    def _frame_before(self) -> NDArray[np.int64]:
        return self.recording_frame - self.detections.stride

    @cached_property
    def _ancestor(self) -> NDArray[np.int64]:
        """(N,) int64, the track that each cell's line was in the frame before; 0 for none."""
        return self.lineage.ancestor(self.tracks, self._frame_before)

    @property
    def _n_labels(self) -> int:
        return int(self.lineage.label.max(initial=0)) + 1

    def _key(self, frame: NDArray[np.int64], track: NDArray[np.int64]) -> NDArray[np.int64]:
        return frame * self._n_labels + track

    @property
    def crowded_mothers(self) -> NDArray[np.int64]:
        """Indices of mothers with more than two daughters, which no assignment can have."""
        daughters = np.bincount(self.mother[self.mother >= 0], minlength=len(self))
        return np.flatnonzero(daughters > 2).astype(np.int64)

    def summary(self) -> dict[str, int]:
        """Counts of frames, cells, daughters that can be judged, cells after frame 0 that cannot, links, nulls, ...

        With `counts`, also how detections and annotated cells match.
        """
        daughters = np.bincount(self.mother[self.mother >= 0], minlength=len(self))
        return {
            "n_frames": self.detections.n_frames,
            "n_cells": len(self),
            "n_daughters": int(self.has_target.sum()),
            "n_unknown": int(((self.detections.frame > 0) & ~self.has_target).sum()),
            "n_missed_mothers": int(self.missed_mother.sum()),
            "n_links": int((self.mother >= 0).sum()),
            "n_null": int((self.has_target & (self.mother < 0)).sum()),
            "n_divisions": int((daughters >= 2).sum()),
            "n_crowded_mothers": len(self.crowded_mothers),
            **(self.counts.total() if self.counts else {}),
        }

    def strided(self, stride: int, offset: int = 0) -> "AnnotatedMovie":
        """Every `stride`-th frame, from frame `offset` on, with the mothers that this leaves.

        Raises:
            InputError: The stride is below 1, or the offset outside the movie.
        """
        if stride < 1:
            raise InputError(f"stride must be at least 1, got {stride}")
        return self._keep_frames(range(offset, self.detections.n_frames, stride))

    def frames(self, start: int, stop: int) -> "AnnotatedMovie":
        """The consecutive frames start, ..., stop - 1 as a movie of their own.

        Raises:
            InputError: The range is empty or leaves the movie.
        """
        if not start < stop <= self.detections.n_frames:
            raise InputError(
                f"{self.name} has frames 0 to {self.detections.n_frames - 1}; "
                f"frames {start} to {stop - 1} cannot be taken"
            )
        return self._keep_frames(range(start, stop))

    def _keep_frames(self, kept: range) -> "AnnotatedMovie":
        cells, offset, stride = self.detections, kept.start, kept.step
        if not 0 <= offset < cells.n_frames:
            raise InputError(f"{self.name} has {cells.n_frames} frames; cannot begin with frame {offset}")
        where = np.flatnonzero(np.isin(cells.frame, np.asarray(kept)))
        subset = Detections(
            frame=(cells.frame[where] - offset) // stride,
            label=cells.label[where],
            coords=cells.coords[where],
            n_frames=len(kept),
            features={name: column[where] for name, column in cells.features.items()},
            has_images=cells.has_images,
            stride=cells.stride * stride,
            row=cells.row[where],
        )
        return replace(
            self,
            detections=subset,
            first_frame=self.first_frame + offset * cells.stride,
            track=None if self.track is None else self.track[where],
            annotated=None if self.annotated is None else self.annotated[where],
            movie=None if self.movie is None else self.movie.select(kept),
            counts=None if self.counts is None else self.counts.of_frames(np.asarray(kept)),
        )
