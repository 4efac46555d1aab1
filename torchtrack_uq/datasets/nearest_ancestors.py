"""Which detection a cell truly descends from, where some cells were missed."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.movies.detections import Detections


def nearest_ancestors(
    lineage: Lineage, frame: NDArray[np.int64], track: NDArray[np.int64], stride: int, max_gap: int
) -> NDArray[np.int64]:
    """The nearest ancestor of each detection that is a detection itself, at most `max_gap` frames before.

    Lines are followed through frames in which nothing was detected, and through divisions in them.

    Args:
        lineage: The tracks, in frames of the recording.
        frame: (N,) int64, frame of the recording in which each detection stands.
        track: (N,) int64, its track, no two alike in a frame; 0 for none.
        stride: Frames of the recording from one frame of the detections to the next.
        max_gap: How many frames to look back, at least 1.

    Returns:
        (N,) int64, index of the ancestor, -1 where there is none.

    >>> lineage = Lineage.from_rows([(1, 0, 1, 0), (2, 2, 3, 1)])
    >>> frame, track = np.array([0, 2, 3]), np.array([1, 2, 2])  # the cell was missed in frame 1
    >>> nearest_ancestors(lineage, frame, track, 1, max_gap=2)
    array([-1,  0,  1])
    """
    mother = np.full(len(frame), -1, dtype=np.int64)
    if not len(frame):
        return mother
    n_labels = int(lineage.label.max(initial=0)) + 1
    key = frame * n_labels + track
    order = np.argsort(key, kind="stable")
    for gap in range(1, max_gap + 1):
        open_ = np.flatnonzero((track > 0) & (mother < 0))
        before = frame[open_] - gap * stride
        ancestor = lineage.ancestor(track[open_], before)
        wanted = before * n_labels + ancestor
        index = order[np.minimum(np.searchsorted(key, wanted, sorter=order), len(key) - 1)]
        mother[open_] = np.where((ancestor > 0) & (key[index] == wanted), index, -1)
    return mother


def has_missed_daughter(
    lineage: Lineage, cells: Detections, track: NDArray[np.int64], first_frame: int
) -> NDArray[np.bool_]:
    """Whether a cell that descends from each detection lives in the next frame without being a detection there.

    Args:
        lineage: The tracks, in frames of the recording.
        cells: N detections.
        track: (N,) int64, the track of each, 0 for none.
        first_frame: Frame of the recording that the detections begin with.

    Returns:
        (N,) bool.
    """
    missed = np.zeros(len(cells), dtype=np.bool_)
    for t in range(cells.n_frames - 1):
        mothers, next_cells = cells.in_frame(t), cells.in_frame(t + 1)
        now = first_frame + t * cells.stride
        absent = np.setdiff1d(lineage.alive(now + cells.stride), track[next_cells])
        ancestor = lineage.ancestor(absent, np.full(len(absent), now))
        missed[mothers] = np.isin(track[mothers], ancestor[ancestor > 0])
    return missed
