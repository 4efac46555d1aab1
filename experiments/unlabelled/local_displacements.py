"""A distance tracker whose displacements follow the movie, estimated without linking cells."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.distance import MISS
from torchtrack_uq.trackers.gaps import widening
from torchtrack_uq.trackers.neighbours import (
    REACH,
    can_be_linked,
    gaussian_with_tail,
    neighbour_links,
    spacing,
    typical_displacements,
)

RANGE = 5.0
"""Search range in displacements, as `DistanceTracker` has it."""
CELLS_A_STRETCH = 1000
"""Fewer cells say little of how far they move; movies of less than twice as many have one estimate."""
FRAMES_A_STRETCH = 4


def displacements_by_frame(
    detections: Detections, max_gap: int, cells_a_stretch: int = CELLS_A_STRETCH
) -> NDArray[np.float64]:
    """How far cells move up to each frame, in pixels per axis: `typical_displacements` of stretches of the movie.

    The logarithm is interpolated between the middles of the stretches.

    Args:
        detections: The movie's cells.
        max_gap: How many frames to look ahead, at least 1.
        cells_a_stretch: A stretch ends where it has so many cells, and four frames.

    Returns:
        (n_frames, max_gap) float64, increasing along each row.

    Raises:
        InputError: As `typical_displacements`.

    >>> coords = np.cumsum([[0.0], [1.0], [1.0], [1.0], [1.0], [9.0], [9.0], [9.0]], axis=0)
    >>> cells = Detections.from_points(np.arange(8), coords.repeat(2, 1))
    >>> displacements_by_frame(cells, 1, cells_a_stretch=4)[[0, 7], 0]
    array([0.65..., 5.93...])
    """
    bounds = _bounds(detections, cells_a_stretch)
    if len(bounds) == 2:
        return np.tile(typical_displacements(detections, max_gap), (detections.n_frames, 1))
    middles, found = [], []
    for begin, end in pairwise(bounds):
        first = max(begin - 1, 0)  # the cells of a stretch's first frame come from the one before
        inside = slice(int(detections.offsets[first]), int(detections.offsets[end]))
        frame = detections.frame[inside]
        part = Detections.from_points(frame - first, detections.coords[inside], n_frames=end - first)
        if can_be_linked(part, max_gap):
            middles.append(float(frame.mean()))
            found.append(np.log(typical_displacements(part, max_gap)))
    if not found:
        return np.tile(typical_displacements(detections, max_gap), (detections.n_frames, 1))
    frames = np.arange(detections.n_frames)
    columns = [np.interp(frames, middles, column) for column in np.array(found).T]
    displacements: NDArray[np.float64] = np.exp(np.stack(columns, axis=1))
    return displacements


def _bounds(detections: Detections, cells_a_stretch: int) -> list[int]:
    """Frames at which stretches begin, and the number of frames; what is left over belongs to the last."""
    bounds, offsets = [0], detections.offsets
    for end in range(1, detections.n_frames + 1):
        enough = offsets[end] - offsets[bounds[-1]] >= cells_a_stretch
        if enough and end - bounds[-1] >= FRAMES_A_STRETCH:
            bounds.append(end)
    return [*bounds[: max(len(bounds) - 1, 1)], detections.n_frames]


def local_candidates(detections: Detections, scales: NDArray[np.float64]) -> CandidateGraph:
    """What `DistanceTracker` scores with its default settings, with displacements of each frame.

    Args:
        detections: The movie's cells.
        scales: (n_frames, max_gap) as `displacements_by_frame`.
    """
    max_gap, widest = scales.shape[1], np.maximum(REACH * RANGE * scales[:, :1], spacing(detections))
    radii = np.maximum(widest, RANGE * scales)
    mother, daughter, distance = neighbour_links(detections, radii.max(0).tolist(), None, max_gap)
    frame = detections.frame[daughter]
    gap = frame - detections.frame[mother]
    near = distance <= radii[frame, gap - 1]
    mother, daughter, distance, frame, gap = (x[near] for x in (mother, daughter, distance, frame, gap))
    its_scale = scales[frame, gap - 1]
    score = gaussian_with_tail(distance / its_scale, RANGE) + (gap - 1) * MISS
    score += widening(its_scale, scales[frame, 0], detections.ndim)
    return CandidateGraph.from_links(
        detections, mother, daughter, score.astype(np.float32), appear=-(RANGE**2) / 2, max_gap=max_gap
    )
