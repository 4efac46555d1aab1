"""Ground truth: the cells of an annotated movie and the true mother of each, at any temporal stride."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match_counts import MatchCounts
from torchtrack_uq.datasets.nearest_ancestors import has_missed_daughter, nearest_ancestors
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.truth.detection_truth import DetectionTruth
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True)
class AnnotatedMovie:
    """Detections whose tracks are those of a known lineage, as far as they are annotated.

    A daughter's true mother is its ancestor in the frame before, where "before" is `detections.stride`
    frames of the recording ago: lineages are followed through skipped frames and through divisions in
    them, so that a mother may have more than two daughters (see `crowded_mothers`). Where links may span more than one
    frame it is the nearest ancestor that was detected, see `targets`.

    Attributes:
        name: What to call the movie.
        detections: N cells.
        lineage: The tracks, in frames of the recording.
        first_frame: Frame t of the detections is frame first_frame + t * detections.stride of the recording.
        track: (N,) int64, which track each cell belongs to, 0 for a cell without a truth of its own: one that nobody
            annotated, or a false positive. None (as where the detections were measured on the annotation itself): the
            labels are the tracks.
        annotated: (N,) bool, the cells whose mother, or that they have none, is known; None for all with a track.
        complete: Whether every cell of the recording is annotated, so that a track without parent is a cell that
            appears. Where it is not, such a cell may well have a mother that nobody annotated: it is not known.
        movie: The pixels that the cells were measured on: masks, and images where there are any. None for points.
        kinds: What is wrong with each detection, where they come from a segmentation of their own: then those without
            a track are known to be no cell (if the annotation is complete).
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
    kinds: DetectionKinds | None = None
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
        if self.kinds is not None and (len(self.kinds) != n or (self.kinds.false != (track == 0)).any()):
            raise InputError(
                f"{self.name}: kinds are of {len(self.kinds)} detections, {int(self.kinds.false.sum())} of them false; "
                f"expected {n}, of which those without a track ({int((track == 0).sum())}) are false"
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
        key = np.sort((frame * self._n_labels + track)[has_track])
        for twice in key[1:][np.diff(key) == 0]:
            t, label = divmod(int(twice), self._n_labels)
            raise InputError(
                f"{self.name}: two cells of frame {t} belong to track {label}; expected one at most"
            )

    def __len__(self) -> int:
        return len(self.detections)

    def targets(self, max_gap: int = 1) -> LinkTargets:
        """The true mothers as tensors on the CPU; what the annotation leaves open is not known there either.

        Args:
            max_gap: How many frames before a daughter her mother may stand, that of the candidate links
                (`CandidateGraph.max_gap`). A daughter's true mother is her nearest ancestor that is a detection; she
                has none where no ancestor is one in so many frames before.

        Raises:
            InputError: It is below 1.
        """
        if max_gap < 1:
            raise InputError(f"max_gap is {max_gap}; expected at least 1 frame")
        mother = self.mother if max_gap == 1 else self._mothers(max_gap)
        return LinkTargets(
            torch.from_numpy(mother.copy()),
            torch.from_numpy(self._has_target(mother)),
            torch.from_numpy(self._daughters_known(mother, max_gap)),
        )

    def detection_truth(self) -> DetectionTruth | None:
        """Which detections are false, merged or split; None where the annotation leaves that open.

        Detections that were measured on a complete annotation itself are none of these. Where only some cells are
        annotated, it is known of those that match one.
        """
        no = np.zeros(len(self), dtype=np.bool_)
        if self.kinds is not None:
            kinds, known = self.kinds, self.complete | ~self.kinds.false
        elif self.track is None and self.annotated is None:
            kinds, known = DetectionKinds(no, no, no), ~no
        else:
            return None
        columns = (kinds.false, kinds.merged, kinds.split, known)
        return DetectionTruth(*(torch.from_numpy(column.copy()) for column in columns))

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

        Not known are the cells of the first frame, which have no frame before them; those that are not `annotated`;
        and, unless the annotation is `complete`, cells without mother.

        With `kinds`, all others are known: of a daughter whose ancestors were all missed "no mother" is the truth, and
        of a false detection as well. Without, cells without a track are not known, and neither are daughters of a
        `missed_mother`: she may be part of one of the cells without a track.
        """
        return self._has_target(self.mother)

    @cached_property
    def missed_mother(self) -> NDArray[np.bool_]:
        """(N,) bool, annotated daughters whose mother is annotated in the frame before, but is no detection there."""
        return self._missed(self.mother)

    @cached_property
    def mother(self) -> NDArray[np.int64]:
        """(N,) int64: index of each cell's true mother among the detections of the frame before, -1 for none (null).

        Null are cells that enter the field of view, whose line has a gap in the frame before, or that
        stand in the first frame; also those whose mother is not known, see `has_target`.
        """
        return self._mothers(1)

    def ancestor(self, gap: int) -> NDArray[np.int64]:
        """(N,) int64: index of each cell's ancestor exactly `gap` frames before, -1 where it is no detection there."""
        return self._mothers(1, gap)

    @cached_property
    def daughters_known(self) -> NDArray[np.bool_]:
        """(N,) bool, the mothers of which it is known which detections of the next frame are their daughters.

        They are known themselves and stand before the last frame. Where only some cells are annotated, all cells of
        the next frame must be. Without `kinds`, every cell of the next frame that descends from them must be among
        the detections.
        """
        return self._daughters_known(self.mother, 1)

    def _mothers(self, max_gap: int, step: int = 1) -> NDArray[np.int64]:
        stride = step * self.detections.stride
        found = nearest_ancestors(self.lineage, self.recording_frame, self.tracks, stride, max_gap)
        return np.where(self._is_daughter, found, -1).astype(np.int64)

    def _missed(self, mother: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) bool, those without mother among the detections although she lives in the frame before."""
        if self.track is None:  # whatever the annotation shows is detected: a gap in it is a gap in the line
            return np.zeros(len(self), dtype=np.bool_)
        before = self.recording_frame - self.detections.stride
        row = self.lineage.rows_of(self.lineage.ancestor(self.tracks, before))
        lives = (row >= 0) & (before <= self.lineage.end[row]) if len(self.lineage) else row >= 0
        return self._is_daughter & lives & (mother < 0)

    def _has_target(self, mother: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.kinds is None:
            return self._is_daughter & ((mother >= 0) | (self.complete & ~self._missed(mother)))
        known = self.detections.frame > 0
        return (known if self.annotated is None else known & self.annotated) & ((mother >= 0) | self.complete)

    def _daughters_known(self, mother: NDArray[np.int64], max_gap: int) -> NDArray[np.bool_]:
        cells = self.detections
        known = (cells.frame < cells.n_frames - 1) & ((self.tracks > 0) | (self.kinds is not None))
        if self.annotated is not None or not self.complete:
            known &= self.tracks > 0
            whole = np.ones(cells.n_frames + max_gap, dtype=np.bool_)
            whole[cells.frame[~self._has_target(mother)]] = False
            for gap in range(1, max_gap + 1):
                known &= whole[cells.frame + gap]
        if self.track is not None and self.kinds is None:
            known &= ~has_missed_daughter(self.lineage, cells, self.tracks, self.first_frame)
        return known

    @cached_property
    def _is_daughter(self) -> NDArray[np.bool_]:
        """(N,) bool, cells after the first frame that are annotated."""
        annotated = (self.detections.frame > 0) & (self.tracks > 0)
        return annotated if self.annotated is None else annotated & self.annotated

    @property
    def _n_labels(self) -> int:
        return int(self.lineage.label.max(initial=0)) + 1

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
            field_shape=cells.field_shape,
            voxel_size=cells.voxel_size,
            interval=None if cells.interval is None else cells.interval * stride,
        )
        return replace(
            self,
            detections=subset,
            first_frame=self.first_frame + offset * cells.stride,
            track=None if self.track is None else self.track[where],
            kinds=None if self.kinds is None else self.kinds.where(where),
            annotated=None if self.annotated is None else self.annotated[where],
            movie=None if self.movie is None else self.movie.select(kept),
            counts=None if self.counts is None else self.counts.of_frames(np.asarray(kept)),
        )
