"""Tracks and divisions from chosen links."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class Tracklets:
    """Runs of cells without division between, as the Cell Tracking Challenge counts tracks.

    Attributes:
        track: (N,) int64, track of each cell: 1, 2, ... in order of first appearance.
        table: One row a track with columns `track`, `begin`, `end` (frames, both included) and `parent`
            (the track that divided into it, or 0).
    """

    track: NDArray[np.int64]
    table: pd.DataFrame


def tracklets(frame: NDArray[np.int64], mother: NDArray[np.int64]) -> Tracklets:
    """Join cells to tracks; a division ends the mother's track and starts two.

    Args:
        frame: (N,) frame of each cell, not decreasing.
        mother: (N,) index of each cell's mother in the frame before, or -1.

    Raises:
        InputError: A mother has more than two daughters, or does not lie in the frame before.

    >>> tracklets(np.array([0, 1, 2, 2]), np.array([-1, 0, 1, 1])).table
       track  begin  end  parent
    0      1      0    1       0
    1      2      2    2       1
    2      3      2    2       1
    """
    n = len(frame)
    linked = mother >= 0
    n_daughters = np.bincount(mother[linked], minlength=n)
    if n and n_daughters.max() > 2:
        raise InputError(
            f"cell {int(n_daughters.argmax())} has {n_daughters.max()} daughters; expected at most 2"
        )
    if (frame[linked] != frame[mother[linked]] + 1).any():
        raise InputError("every mother must lie in the frame before its daughter")
    starts = ~linked
    starts[linked] = n_daughters[mother[linked]] == 2
    track = np.cumsum(starts)
    continues = np.flatnonzero(~starts)
    # A cell that continues a track takes its mother's; frame by frame, so that mothers come first.
    for cells in np.split(continues, np.flatnonzero(np.diff(frame[continues])) + 1):
        track[cells] = track[mother[cells]]
    first = np.flatnonzero(starts)
    end = np.zeros(len(first) + 1, np.int64)
    np.maximum.at(end, track, frame)
    parent = np.where(linked[first], track[mother[first]], 0)
    table = pd.DataFrame(
        {"track": np.arange(1, len(first) + 1), "begin": frame[first], "end": end[1:], "parent": parent}
    )
    return Tracklets(track.astype(np.int64), table)
