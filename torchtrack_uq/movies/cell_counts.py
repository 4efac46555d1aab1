"""Frames that stand out among measured cells: empty, repeated, or with far more or fewer cells than those around.

Thresholds are justified on all movies that the project has, points included: `experiments/results/mask_sanity.md`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.findings import Finding, listed, say

ENOUGH_CELLS = 5
"""Cells in a frame below which nothing is concluded from it."""
MOST_LOST = 0.5
"""Share of the cells of both frames around that may be missing in one, or from one frame to the next for good."""
MOST_GAINED = 1.5
"""Share of the cells of a frame that may be new in the next: all divide at once, and half as many come in."""
_SURE = 4.0  # standard deviations of a count (Poisson) by which a change is more than chance


def check_detections(detections: Detections) -> None:
    """Say which frames stand out; costs nothing, as cells are measured already.

    Args:
        detections: All cells of a movie.

    Warns:
        MovieWarning: Frames without cells, frames that repeat the one before, sudden changes of the number of cells.

    >>> import warnings
    >>> frame = np.repeat([0, 1, 3], 9)
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     check_detections(Detections.from_points(frame, np.random.default_rng(0).random((27, 2))))
    >>> print(said[0].message)
    there is no cell in frame 2 of 4 but 9 in the frames around; expected cells in every frame: is its mask missing? \
Leave the frame out, or let links span it with --max-gap 2
    """
    say(detection_findings(detections))


def detection_findings(detections: Detections) -> list[Finding]:
    """Frames that stand out; see `check_detections`."""
    counts = np.diff(detections.offsets)
    sentences = (*_empty(counts), *_repeated(detections), *_sudden(counts))
    return [Finding(sentence) for sentence in sentences]


def empty_frames(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames without cells whose nearest frames with cells, before and after, hold enough of them.

    >>> empty_frames(np.array([9, 0, 0, 9, 2, 0, 9]))
    array([1, 2])
    """
    filled = np.flatnonzero(counts)
    empty = np.flatnonzero(counts == 0)
    if not len(filled) or not len(empty):
        return empty[:0]
    after = np.searchsorted(filled, empty)
    before = counts[filled[np.maximum(after - 1, 0)]]  # at an end of the movie, both are the only one
    return empty[
        (before >= ENOUGH_CELLS) & (counts[filled[np.minimum(after, len(filled) - 1)]] >= ENOUGH_CELLS)
    ]


def repeated_frames(detections: Detections) -> NDArray[np.int64]:
    """Frames whose cells are those of the frame before to the last digit: number, place, shape and brightness."""
    columns = np.concatenate(
        [detections.label[:, None], detections.coords, *detections.features.values()], axis=1
    )
    frames = [
        t
        for t in range(1, detections.n_frames)
        if len(columns[detections.in_frame(t)]) >= ENOUGH_CELLS
        and np.array_equal(columns[detections.in_frame(t)], columns[detections.in_frame(t - 1)])
    ]
    return np.array(frames, dtype=np.int64)


def dips(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames with far fewer cells than both frames around, though not empty.

    >>> dips(np.array([90, 91, 40, 92, 90]))
    array([2])
    """
    around = np.minimum(counts[:-2], counts[2:])
    return np.flatnonzero((counts[1:-1] > 0) & _fell(around, counts[1:-1])) + 1


def peaks(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames with far more cells than both frames around."""
    around = np.maximum(counts[:-2], counts[2:])
    return np.flatnonzero((around > 0) & _rose(around, counts[1:-1])) + 1


def steps(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames from which on there are far fewer or far more cells, beside `dips`, `peaks` and empty frames."""
    before, after = counts[:-1], counts[1:]
    changed = (before > 0) & (after > 0) & (_fell(before, after) | _rose(before, after))
    odd = np.concatenate([dips(counts), peaks(counts)])
    return np.setdiff1d(np.flatnonzero(changed) + 1, np.concatenate([odd, odd + 1]))


def _fell(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.bool_]:
    lost = before - after
    return (before >= ENOUGH_CELLS) & (lost >= MOST_LOST * before) & (lost > _SURE * np.sqrt(before / 2))


def _rose(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.bool_]:
    gained = after - before
    return (before >= ENOUGH_CELLS) & (gained > MOST_GAINED * before) & (gained > _SURE * np.sqrt(before / 2))


def _empty(counts: NDArray[np.int64]) -> Iterator[str]:
    found = empty_frames(counts)
    if len(found):
        one, filled = len(found) == 1, counts[counts > 0]
        yield (
            f"there is no cell in {_named(found)} of {len(counts)} but {int(np.median(filled))} in the frames around; "
            f"expected cells in every frame: {'is its mask' if one else 'are their masks'} missing? Leave the "
            f"{'frame' if one else 'frames'} out, or let links span {'it' if one else 'them'} with --max-gap "
            f"{_longest_run(found) + 1}"
        )


def _repeated(detections: Detections) -> Iterator[str]:
    found = repeated_frames(detections)
    if len(found):
        what = "masks and images" if detections.has_images else "masks" if detections.features else "cells"
        yield (
            f"{_named(found)} of {detections.n_frames}: {what} are exactly those of the frame before; expected cells "
            "that differ a little: was a file copied, or did the camera hang? Leave such frames out"
        )


def _sudden(counts: NDArray[np.int64]) -> Iterator[str]:
    for found, fewer in ((dips(counts), True), (peaks(counts), False)):
        if len(found):
            t = int(found[0])
            yield (
                f"{_named(found)}: far {'fewer' if fewer else 'more'} cells than before and after (frame {t} has "
                f"{counts[t]}, the frames around {counts[t - 1]} and {counts[t + 1]}); expected about as many: look at "
                f"the {'mask' if len(found) == 1 else 'masks'} there, or leave such frames out"
            )
    found = steps(counts)
    if len(found):
        t = int(found[0])
        yield (
            f"the number of cells changes suddenly in {_named(found)} (from {counts[t - 1]} in frame {t - 1} to "
            f"{counts[t]} in frame {t}); expected about as many in consecutive frames: are frames missing, or was the "
            "segmentation changed there?"
        )


def _named(frames: NDArray[np.int64]) -> str:
    return f"frame{'s' if len(frames) > 1 else ''} {listed(frames.tolist())}"


def _longest_run(frames: NDArray[np.int64]) -> int:
    """Most consecutive numbers among them."""
    ends = np.flatnonzero(np.diff(frames, append=frames[-1] + 2) > 1)
    return int(np.diff(ends, prepend=-1).max())
