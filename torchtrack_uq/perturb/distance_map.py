"""Exact Euclidean distance transforms up to a limit, with the nearest cell."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
    cells: NDArray[np.int32], is_cell: NDArray[np.bool_], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Distance of every voxel to the nearest one of a set, where voxels are no cubes.

    Args:
        cells: Of any shape, what to look up.
        is_cell: Of the same shape, the set.
        edges: (D,) edge lengths of a voxel.

    Returns:
        Distances between centres; half the length of a voxel in that direction (half an edge along an axis, the
        half-axes of an ellipsoid between), 0 in the set; and the entry of `cells` at the nearest voxel. Distances are
        infinite where the set is empty.

    >>> row, here = np.array([[7, 0], [0, 0]], np.int32), np.array([[True, False], [False, False]])
    >>> distance, half, _ = nearest_in_space(row, here, np.array([4.0, 1.0]))
    >>> distance[:, 0], half[:, 0]
    (array([0., 4.]), array([0., 2.]))
    """
    if not is_cell.any():
        return np.full(cells.shape, np.inf), np.zeros(cells.shape), cells.copy()
    distance, nearest = ndimage.distance_transform_edt(~is_cell, sampling=edges, return_indices=True)
    steps = nearest - np.indices(cells.shape, dtype=nearest.dtype)
    n_voxels = np.sqrt((steps.astype(np.float64) ** 2).sum(axis=0))
    half = np.divide(distance, 2 * n_voxels, out=np.zeros(cells.shape), where=n_voxels > 0)
    return distance, half, cells[tuple(nearest)]


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
