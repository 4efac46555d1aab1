"""Tracks, gaps and divisions from chosen links."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class Tracklets:
    """Runs of cells in consecutive frames without division between, as the Cell Tracking Challenge counts tracks.

    Attributes:
        track: (N,) int64, track of each cell: 1, 2, ... in order of first appearance.
        table: One row a track with columns `track`, `begin`, `end` (frames, both included) and `parent`
            (the track that divided into it, or that was it before a gap, or 0).
        path: (N,) int64, the same numbers where a gap does not end a track: the track that a cell's run without
            division began with.
    """

    track: NDArray[np.int64]
    table: pd.DataFrame
    path: NDArray[np.int64]


def tracklets(frame: NDArray[np.int64], mother: NDArray[np.int64]) -> Tracklets:
    """Join cells to tracks; a division ends the mother's track and starts two, a gap ends one and starts its heir.

    In files of the Cell Tracking Challenge a track is in the mask of every frame from its begin to its end, and its
    parent ends before it begins. py-ctcmetrics and traccuracy check both; neither asks that the parent ends in the
    frame right before, and traccuracy links its last cell with the child's first one, however far apart. So a parent
    with one child is the same cell after a gap.

    Args:
        frame: (N,) frame of each cell, not decreasing.
        mother: (N,) index of each cell's mother in an earlier frame, or -1.

    Raises:
        InputError: A mother has more than two daughters, or does not lie in an earlier frame.

    >>> tracklets(np.array([0, 1, 2, 2]), np.array([-1, 0, 1, 1])).table
       track  begin  end  parent
    0      1      0    1       0
    1      2      2    2       1
    2      3      2    2       1

    >>> tracklets(np.array([0, 2, 3]), np.array([-1, 0, 1])).table  # missed in frame 1
       track  begin  end  parent
    0      1      0    0       0
    1      2      2    3       1
    """
    n = len(frame)
    linked = mother >= 0
    n_daughters = np.bincount(mother[linked], minlength=n)
    if n and n_daughters.max() > 2:
        raise InputError(
            f"cell {int(n_daughters.argmax())} has {n_daughters.max()} daughters; expected at most 2"
        )
    gap = np.zeros(n, np.int64)
    gap[linked] = frame[linked] - frame[mother[linked]]
    if (gap[linked] < 1).any():
        raise InputError("every mother must lie in a frame before its daughter's")
    divides = ~linked
    divides[linked] = n_daughters[mother[linked]] == 2
    starts = divides | (gap > 1)
    numbers = np.cumsum(starts, dtype=np.int64)
    track = _continued(numbers, starts, frame, mother)
    first = np.flatnonzero(starts)
    end = np.zeros(len(first) + 1, np.int64)
    np.maximum.at(end, track, frame)
    parent = np.where(linked[first], track[mother[first]], 0)
    table = pd.DataFrame(
        {"track": np.arange(1, len(first) + 1), "begin": frame[first], "end": end[1:], "parent": parent}
    )
    return Tracklets(track, table, _continued(numbers, divides, frame, mother))


def _continued(
    numbers: NDArray[np.int64], starts: NDArray[np.bool_], frame: NDArray[np.int64], mother: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(N,) int64, the number of the cell that each cell's run began with."""
    track = numbers.copy()
    continues = np.flatnonzero(~starts)
    # A cell that continues a track takes its mother's; frame by frame, so that mothers come first.
    for cells in np.split(continues, np.flatnonzero(np.diff(frame[continues])) + 1):
        track[cells] = track[mother[cells]]
    return track
