"""Ground truth: the cells of an annotated movie and the true mother of each, at any temporal stride."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class AnnotatedMovie:
    """Detections whose labels are tracks of a known lineage.

    A daughter's true mother is its ancestor in the frame before, where "before" is `detections.stride`
    frames of the recording ago: lineages are followed through skipped frames and through divisions in
    them, so that a mother may have more than two daughters (see `crowded_mothers`).

    Attributes:
        name: What to call the movie.
        detections: N cells; their labels are tracks of `lineage`.
        lineage: The tracks, in frames of the recording.
        first_frame: Frame t of the detections is frame first_frame + t * detections.stride of the recording.

    Raises:
        InputError: A cell's label is no track, or the cell lies in a frame in which its track does not exist.
    """

    name: str
    detections: Detections
    lineage: Lineage
    first_frame: int = 0

    def __post_init__(self) -> None:
        cells, frame = self.detections, self.recording_frame
        row = self.lineage.rows_of(cells.label)
        for i in np.flatnonzero(row < 0):
            raise InputError(
                f"{self.name}: label {cells.label[i]} in frame {frame[i]} is not listed as a track"
            )
        for i in np.flatnonzero((frame < self.lineage.begin[row]) | (frame > self.lineage.end[row])):
            raise InputError(
                f"{self.name}: label {cells.label[i]} stands in frame {frame[i]}, but that track is listed "
                f"from frame {self.lineage.begin[row[i]]} to {self.lineage.end[row[i]]}"
            )

    def __len__(self) -> int:
        return len(self.detections)

    @property
    def recording_frame(self) -> NDArray[np.int64]:
        """(N,) int64, frame of each cell in the recording."""
        return self.first_frame + self.detections.frame * self.detections.stride

    @cached_property
    def has_target(self) -> NDArray[np.bool_]:
        """(N,) bool: False for the cells of the first frame, which have no frame before them."""
        return self.detections.frame > 0

    @cached_property
    def mother(self) -> NDArray[np.int64]:
        """(N,) int64: index of each cell's true mother among the detections, -1 for none (null).

        Null are cells that enter the field of view, whose line has a gap in the frame before, or that
        stand in the first frame.
        """
        cells = self.detections
        before = self.recording_frame - cells.stride
        ancestor = self.lineage.ancestor(cells.label, before)
        n_labels = int(self.lineage.label.max(initial=0)) + 1
        key = cells.frame * n_labels + cells.label  # ascending: cells are sorted by frame, then label
        wanted = (cells.frame - 1) * n_labels + ancestor
        index = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        found = self.has_target & (ancestor > 0) & (key[index] == wanted)
        return np.where(found, index, -1).astype(np.int64)

    @property
    def crowded_mothers(self) -> NDArray[np.int64]:
        """Indices of mothers with more than two daughters, which no assignment of DESIGN.md can have."""
        daughters = np.bincount(self.mother[self.mother >= 0], minlength=len(self))
        return np.flatnonzero(daughters > 2).astype(np.int64)

    def summary(self) -> dict[str, int]:
        """Counts of frames, cells, daughters (cells after frame 0), links, nulls, divisions, crowded."""
        daughters = np.bincount(self.mother[self.mother >= 0], minlength=len(self))
        return {
            "n_frames": self.detections.n_frames,
            "n_cells": len(self),
            "n_daughters": int(self.has_target.sum()),
            "n_links": int((self.mother >= 0).sum()),
            "n_null": int((self.has_target & (self.mother < 0)).sum()),
            "n_divisions": int((daughters >= 2).sum()),
            "n_crowded_mothers": len(self.crowded_mothers),
        }

    def strided(self, stride: int, offset: int = 0) -> "AnnotatedMovie":
        """Every `stride`-th frame, from frame `offset` on, with the mothers that this leaves.

        Raises:
            InputError: The stride is below 1, or the offset outside the movie.
        """
        if stride < 1:
            raise InputError(f"stride must be at least 1, got {stride}")
        return self._keep_frames(np.arange(offset, self.detections.n_frames, stride), stride, offset)

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
        return self._keep_frames(np.arange(start, stop), 1, start)

    def _keep_frames(self, kept: NDArray[np.int64], stride: int, offset: int) -> "AnnotatedMovie":
        cells = self.detections
        if not 0 <= offset < cells.n_frames:
            raise InputError(f"{self.name} has {cells.n_frames} frames; cannot begin with frame {offset}")
        where = np.flatnonzero(np.isin(cells.frame, kept))
        subset = Detections(
            frame=(cells.frame[where] - offset) // stride,
            label=cells.label[where],
            coords=cells.coords[where],
            n_frames=len(kept),
            features={name: column[where] for name, column in cells.features.items()},
            has_images=cells.has_images,
            stride=cells.stride * stride,
        )
        return AnnotatedMovie(self.name, subset, self.lineage, self.first_frame + offset * cells.stride)
