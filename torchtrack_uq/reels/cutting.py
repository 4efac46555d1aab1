"""Where a long movie is cut into reels."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MARGIN = 4
"""Frames on both sides that a reel is worked on with, for each frame that links may span: by then it has forgotten
where it was cut."""
OF_MARGIN = 4
"""A reel is at least so many margins long, so that margins do not cost more than half as much again."""


class Reel(NamedTuple):
    """Frames `first` to `last` of a movie (all ends excluded), which it says everything about.

    Attributes:
        first: Of its own frames.
        last: Of its own frames.
        low: First of those that it sums over.
        high: Last of these.
        begin: First of those that it scores, so that it knows all links that lead in.
        end: Last of these.
    """

    first: int
    last: int
    low: int
    high: int
    begin: int
    end: int


def half_margin(max_gap: int) -> int:
    """Frames beyond a reel that are as far from its own as from where it sees nothing more."""
    return MARGIN * max_gap // 2


def reels_of(offsets: NDArray[np.int64], max_gap: int, cells_at_once: int) -> list[Reel]:
    """The reels of a movie, in order; a single one where it is not worth while.

    Args:
        offsets: (n_frames + 1,) the first cell of each frame, and how many cells there are.
        max_gap: How many frames links may span.
        cells_at_once: About how many cells a reel has of its own.

    >>> [(reel.first, reel.last, reel.low, reel.begin) for reel in reels_of(np.arange(0, 1001, 10), 1, 300)]
    [(0, 25, 0, 0), (25, 50, 21, 20), (50, 75, 46, 45), (75, 100, 71, 70)]
    """
    n_frames, n_cells = len(offsets) - 1, int(offsets[-1])
    margin = MARGIN * max_gap
    count = max(min(-(-n_cells // cells_at_once), n_frames // (OF_MARGIN * margin)), 1)
    cuts = np.searchsorted(offsets, np.arange(1, count) * n_cells // count, side="right") - 1
    # crowded frames beside empty ones: every reel has its frames all the same
    at = [0]
    for k, cut in enumerate(cuts.tolist()):
        after = n_frames - (count - 1 - k) * OF_MARGIN * margin
        at.append(min(max(cut, at[-1] + OF_MARGIN * margin), after))
    at.append(n_frames)

    def clip(frame: int) -> int:
        return min(max(frame, 0), n_frames)

    return [
        Reel(
            first,
            last,
            clip(first - margin),
            clip(last + margin),
            clip(first - margin - max_gap),
            clip(last + margin + max_gap),
        )
        for first, last in pairwise(at)
    ]
