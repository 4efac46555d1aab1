"""Matching of a separate segmentation to annotated masks, by the rule of the Cell Tracking Challenge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match_counts import MatchCounts
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.features import index_regions
from torchtrack_uq.movies.frames import FrameSource
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import count_pairs
from torchtrack_uq.utils.progress import with_progress


@dataclass(frozen=True)
class FrameMatch:
    """Detections and annotated cells of one frame: n detections, m annotated cells, both by ascending label.

    Attributes:
        detection: (n,) int64, labels of the detections.
        annotated: (m,) int64, labels of the annotated cells.
        covered_by: (m,) int64, label of the detection that covers each annotated cell, 0 for none.
        shared: (m,) int64, pixels that each annotated cell shares with the detection that covers it, 0 for none.
        n_covered: (n,) int64, how many annotated cells each detection covers.
        inside: (n,) int64, label of the annotated cell that holds more than half of each detection's own pixels, or 0.
    """

    detection: NDArray[np.int64]
    annotated: NDArray[np.int64]
    covered_by: NDArray[np.int64]
    shared: NDArray[np.int64]
    n_covered: NDArray[np.int64]
    inside: NDArray[np.int64]

    @property
    def track(self) -> NDArray[np.int64]:
        """(n,) int64, label of the annotated cell that each detection stands for, 0 where it covers none.

        Of several that it covers, the one that it shares most pixels with; of equals that of the smallest label.
        """
        track = np.zeros(len(self.detection), dtype=np.int64)
        last_wins = np.lexsort((-self.annotated, self.shared))
        last_wins = last_wins[self.covered_by[last_wins] > 0]
        track[np.searchsorted(self.detection, self.covered_by[last_wins])] = self.annotated[last_wins]
        return track

    @property
    def kinds(self) -> DetectionKinds:
        """What is wrong with each of the n detections."""
        n_inside = np.bincount(np.searchsorted(self.annotated, self.inside[self.inside > 0]), minlength=1)
        at = np.minimum(np.searchsorted(self.annotated, self.inside), len(n_inside) - 1)
        split = (self.inside > 0) & (n_inside[at] > 1)
        return DetectionKinds(false=self.n_covered == 0, merged=self.n_covered > 1, split=split)

    @property
    def n_splits(self) -> int:
        """See `MatchCounts`."""
        return len(np.unique(self.inside[self.kinds.split]))

    @property
    def counts(self) -> tuple[int, ...]:
        """The counts of `MatchCounts`, in its order."""
        matched, several = int((self.n_covered == 1).sum()), int((self.n_covered > 1).sum())
        missed = int((self.covered_by == 0).sum())
        unmatched = len(self.detection) - matched - several
        return matched, several, unmatched, len(self.annotated), missed, self.n_splits


def match_frame(segmentation: NDArray[np.generic], annotation: NDArray[np.generic]) -> FrameMatch:
    """Match the detections of one frame to its annotated cells.

    A detection covers an annotated cell if it holds more than half of that cell's pixels. So a cell is covered by
    one detection at most, while a detection may cover several cells. (Matula et al. 2015, "Cell tracking accuracy
    measurement based on comparison of acyclic oriented graphs", PLoS ONE 10(12): e0144959.)

    Args:
        segmentation: (Y, X) or (Z, Y, X) integer labels, 0 for background.
        annotation: The same of the annotation.

    Raises:
        InputError: The masks have different shapes.

    >>> match = match_frame(np.array([5, 5, 5, 5, 7, 0, 9]), np.array([1, 1, 2, 2, 3, 3, 0]))
    >>> match.covered_by  # detection 5 covers the cells 1 and 2; 7 holds only half of 3
    array([5, 5, 0])
    >>> match.track  # of 1 and 2 it holds equally many pixels
    array([1, 0, 0])
    >>> match.kinds.false
    array([False,  True,  True])
    """
    if segmentation.shape != annotation.shape:
        raise InputError(
            f"the segmentation has frames of shape {segmentation.shape} but the annotation of {annotation.shape}; "
            "expected the same frames"
        )
    where, detection, cell = index_regions(segmentation)
    annotated_where, annotated, annotated_cell = index_regions(annotation)
    annotated_at = np.zeros(annotation.size, np.int64)
    annotated_at[annotated_where] = annotated_cell + 1
    behind = annotated_at[where]
    both = behind > 0
    i, j, shared = count_pairs(behind[both] - 1, cell[both], len(annotated), len(detection))
    covers = 2 * shared > np.bincount(annotated_cell, minlength=len(annotated))[i]
    inside = 2 * shared > np.bincount(cell, minlength=len(detection))[j]
    covered_by = np.zeros(len(annotated), dtype=np.int64)
    covered_by[i[covers]] = detection[j[covers]]
    shares = np.zeros(len(annotated), dtype=np.int64)
    shares[i[covers]] = shared[covers]
    lies_in = np.zeros(len(detection), dtype=np.int64)
    lies_in[j[inside]] = annotated[i[inside]]
    return FrameMatch(
        detection=detection,
        annotated=annotated,
        covered_by=covered_by,
        shared=shares,
        n_covered=np.bincount(j[covers], minlength=len(detection)).astype(np.int64),
        inside=lies_in,
    )


def check_same_frames(segmentation: FrameSource, annotation: FrameSource) -> None:
    """Refuse a segmentation that cannot be of the frames that are annotated.

    Raises:
        InputError: It has another number of frames, or frames of another shape.
    """
    for what, ours, theirs in (
        ("frames", segmentation.n_frames, annotation.n_frames),
        ("frames of shape", segmentation.frame_shape, annotation.frame_shape),
    ):
        if ours != theirs:
            raise InputError(
                f"the segmentation {segmentation.name} has {what} {ours} but the annotation {annotation.name} "
                f"{theirs}; expected the same frames of the same recording"
            )


def match_movie(
    name: str,
    movie: Movie,
    annotation: FrameSource,
    lineage: Lineage,
    *,
    complete: bool = True,
    detections: Detections | None = None,
    first_frame: int = 0,
    progress: bool = True,
) -> AnnotatedMovie:
    """Give the detections of a segmentation the truth of an annotation of the same frames.

    A detection stands for the annotated cell that it covers, and for the one that it shares most pixels with if it
    covers several. Her true mother is the detection of her nearest ancestor, see `AnnotatedMovie.targets`; detections
    that cover no cell, false positives and fragments, have none. `AnnotatedMovie.kinds` says which are which.

    Args:
        name: What to call the movie.
        movie: The segmentation's masks, and images where there are any.
        annotation: Annotated masks, whose labels are tracks of `lineage`: all frames of the recording from its
            first, or those of the movie's stride.
        lineage: Their tracks, in frames of the recording.
        complete: Whether every cell is annotated, see `AnnotatedMovie`. Where only some are, detections that match
            none of them are not judged, and neither is whether a track's first cell has a mother.
        detections: The movie's cells, if they have been measured already.
        first_frame: Frame of the recording that the movie begins with.
        progress: Whether to show a progress bar.

    Raises:
        InputError: Segmentation and annotation have different frames, or no detection matches an annotated cell.
    """
    if annotation.n_frames != movie.n_frames:
        annotation = annotation.strided(movie.stride)
    check_same_frames(movie.masks, annotation)
    cells = Detections.from_movie(movie, progress=progress) if detections is None else detections
    tracks, kinds, rows = [], [], []
    for t in with_progress(range(movie.n_frames), "Matching cells", show=progress):
        match = match_frame(movie.read_mask(t), annotation.read(t))
        if not np.array_equal(match.detection, cells.label[cells.in_frame(t)]):
            raise InputError(
                f"{movie.masks.name} holds other cells in frame {t} than the detections measured on it; "
                "expected the masks that they were measured on"
            )
        tracks.append(match.track)
        kinds.append(match.kinds)
        rows.append(match.counts)
    track = np.concatenate(tracks)
    counts = MatchCounts(*np.array(rows, dtype=np.int64).T)
    if not track.any():
        raise InputError(
            f"none of the {len(track)} cells of {movie.masks.name} covers more than half of one annotated cell of "
            f"{annotation.name} ({int(counts.n_merges.sum())} cover several); expected a segmentation of the same movie"
        )
    return AnnotatedMovie(
        name,
        cells,
        lineage,
        first_frame=first_frame,
        track=track,
        complete=complete,
        kinds=DetectionKinds.concatenate(kinds),
        counts=counts,
        movie=movie,
    )
