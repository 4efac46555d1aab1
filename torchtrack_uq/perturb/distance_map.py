"""Exact Euclidean distance transforms up to a limit, with the nearest cell."""

import math

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.utils.kernel import kernel


def nearest_cell(
    cells: NDArray[np.int32], is_cell: NDArray[np.bool_], limit: float
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Squared distance of every pixel to the nearest pixel of a set, and what is there.

    As `scipy.ndimage.distance_transform_edt(~is_cell, return_indices=True)` finds it, ties included: of equally
    near pixels the one of smallest index along the last axis, then along the one before. Distances of `limit` and
    more are not told apart, which saves most of the time.

    Args:
        cells: Of any shape, what to look up.
        is_cell: Of the same shape, the set.
        limit: Largest distance in pixels that matters.

    Returns:
        Squared distances, at most that of the limit (rounded up), and the entry of `cells` at the nearest pixel,
        which means nothing where the distance is at the limit.

    >>> nearest_cell(np.array([7, 0, 0, 0, 0, 8], np.int32), np.array([1, 0, 0, 0, 0, 1], bool), 9)[1]
    array([7, 7, 7, 8, 8, 8], dtype=int32)
    """
    farthest = math.ceil(limit**2)
    squared = np.where(is_cell, np.int32(0), np.int32(farthest))
    found = cells.copy()
    for axis, n in enumerate(cells.shape):
        if n > 1:
            lines = (math.prod(cells.shape[:axis]), n, math.prod(cells.shape[axis + 1 :]))
            _spread_along(squared.reshape(lines), found.reshape(lines), farthest)
    return squared, found


def nearest_in_space(
    cells: NDArray[np.int32], is_cell: NDArray[np.bool_], limit: float, edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """As `nearest_cell` where voxels are no cubes: squared distances in units of `edges`.

    Distances are those in a stack in which every voxel is cut into cubes of its shortest edge, from the centre of a
    voxel to that of the nearest such cube of the set. So half a shortest edge before that is where the set begins,
    whichever way it lies.

    Args:
        cells: Of any shape, what to look up.
        is_cell: Of the same shape, the set.
        limit: Largest distance that matters.
        edges: (D,) edge lengths of a voxel.

    Returns:
        Squared distances, at most limit², and the entry of `cells` at the nearest voxel, which means nothing where the
        distance is at the limit.

    >>> cells, is_cell = np.array([[7], [0], [0]], np.int32), np.array([[True], [False], [False]])
    >>> nearest_in_space(cells, is_cell, 9.0, np.array([4.0, 1.0]))[0].ravel()  # (2 + 0.5)², (6 + 0.5)²
    array([ 0.  ,  6.25, 42.25])
    """
    farthest, shortest = limit**2, edges.min()
    squared = np.where(is_cell, 0.0, farthest)
    found = cells.copy()
    for axis, n in enumerate(cells.shape):
        lines = (math.prod(cells.shape[:axis]), n, math.prod(cells.shape[axis + 1 :]))
        steps = np.maximum(edges[axis] * np.arange(n) - (edges[axis] - shortest) / 2, 0.0) ** 2
        _look_along(squared.reshape(lines), found.reshape(lines), steps)
    return squared, found


@kernel
def _look_along(squared: NDArray[np.float64], found: NDArray[np.int32], steps: NDArray[np.float64]) -> None:
    """The least of squared[j] + steps[|i - j|] of each line, in place."""
    outer, n, inner = squared.shape
    height, of = np.empty(n), np.empty(n, np.int32)
    for a in range(outer):
        for b in range(inner):
            height[:] = squared[a, :, b]
            of[:] = found[a, :, b]
            for i in range(n):
                best, owner = height[i], of[i]
                for k in range(1, n):
                    if steps[k] >= best:
                        break
                    for j in (i - k, i + k):
                        if 0 <= j < n and height[j] + steps[k] < best:
                            best, owner = height[j] + steps[k], of[j]
                squared[a, i, b], found[a, i, b] = best, owner


@kernel
def _spread_along(squared: NDArray[np.int32], found: NDArray[np.int32], farthest: int) -> None:
    """Lower envelope of the parabolas squared[i] + (x - i)² of each line, in place.

    Maurer, Qi and Raghavan, "A linear time algorithm for computing exact Euclidean distance transforms of binary
    images in arbitrary dimensions", IEEE PAMI 25 (2003), as scipy has it.
    """
    outer, n, inner = squared.shape
    site, height, of = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int32)
    for a in range(outer):
        for b in range(inner):
            top = -1
            for i in range(n):
                h = np.int64(squared[a, i, b])
                if h >= farthest:
                    continue
                while top >= 1:
                    left, right = site[top] - site[top - 1], i - site[top]
                    both = left + right
                    if both * height[top] - right * height[top - 1] - left * h - left * right * both <= 0:
                        break
                    top -= 1
                top += 1
                site[top], height[top], of[top] = i, h, found[a, i, b]
            if top < 0:
                continue
            k = 0
            for i in range(n):
                best = height[k] + (i - site[k]) ** 2
                while k < top:
                    following = height[k + 1] + (i - site[k + 1]) ** 2
                    if best <= following:
                        break
                    best = following
                    k += 1
                squared[a, i, b] = min(best, farthest)
                found[a, i, b] = of[k]
