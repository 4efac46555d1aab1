"""What neighbouring cells have in common in how they move: drift, flow, growth, found without knowing any link.

Each cell is paired with the nearest one of the frame before, where both are nearest to each other; the motion around a
cell is the median over its neighbours' pairs, itself left out; and cells are paired again with that motion taken out.
What neighbours do says nothing where each cell goes its own way. Then such pairs are often wrong too, so the motion
counts only as far as it explains the pairs' displacements: by 1 - (median residual)² / (median displacement)², the
coefficient of determination with medians for means, and not at all below 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Floats = NDArray[np.float64]

_NEIGHBOURS = 10
_ROUNDS = 6
_FEWEST = 5
_CARRIERS = 4
"""Cells over which the motion at a place between cells is averaged."""


def common_motion(before: Floats, after: Floats) -> Floats:
    """How far the surroundings of each cell have moved since the frame before.

    Args:
        before: (m, D) places of the cells of a frame, in units that are the same along all axes.
        after: (n, D) those of the next frame.

    Returns:
        (n, D) displacements; 0 where frames hold fewer than five cells, or neighbours have nothing in common.

    >>> grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    >>> np.round(common_motion(10 * grid, 10 * grid + 3), 3)[0]
    array([3., 3.])
    """
    motion = np.zeros_like(after, dtype=np.float64)
    if min(len(before), len(after)) < _FEWEST:
        return motion
    earlier = KDTree(before)
    for _ in range(_ROUNDS):
        back = after - motion
        partner = np.asarray(earlier.query(back)[1])
        mutual = np.asarray(KDTree(back).query(before)[1])[partner] == np.arange(len(after))
        if mutual.sum() < _FEWEST:
            return np.zeros_like(motion)
        displacement = (after - before[partner])[mutual]
        around = _median_of_neighbours(after[mutual], displacement, after, mutual)
        length = float(np.median(np.linalg.norm(displacement, axis=1)))
        left = float(np.median(np.linalg.norm(displacement - around[mutual], axis=1)))
        explained = max(0.0, 1 - (left / length) ** 2) if length > 0 else 0.0
        motion = explained * around
    return motion


def _median_of_neighbours(
    place: Floats, displacement: Floats, at: Floats, is_one: NDArray[np.bool_]
) -> Floats:
    """(n, D) median displacement of the pairs nearest to each cell, its own left out."""
    own = np.full(len(at), -1)
    own[is_one] = np.arange(len(place))
    nearest = np.asarray(KDTree(place).query(at, k=min(_NEIGHBOURS + 1, len(place)))[1])
    values = displacement[nearest].astype(np.float64)
    values[nearest == own[:, None]] = np.nan
    median: Floats = np.nanmedian(values, axis=1)
    return median


def motion_since(offsets: NDArray[np.int64], coords: Floats, reach: int) -> Floats:
    """How far the surroundings of each cell have moved since 1, 2, ... frames before.

    Args:
        offsets: (n_frames + 1,) the cells of frame t are offsets[t] to offsets[t + 1] - 1.
        coords: (N, D) places.
        reach: How many frames to go back.

    Returns:
        (N, reach, D) displacements; beyond the first frame those since the first.
    """
    coords = np.asarray(coords, dtype=np.float64)
    found = np.zeros((len(coords), reach, coords.shape[1]))
    steps = np.zeros_like(coords)
    frames = [slice(int(offsets[t]), int(offsets[t + 1])) for t in range(len(offsets) - 1)]
    for t, now in enumerate(frames):
        if t and now.stop > now.start:
            steps[now] = common_motion(coords[frames[t - 1]], coords[now])
        since = np.zeros_like(coords[now])
        for back in range(reach):
            if t - back >= 1:
                step = steps[now] if back == 0 else _at(coords, steps, frames[t - back], coords[now] - since)
                since = since + step
            found[now, back] = since
    return found


def _at(coords: Floats, steps: Floats, cells: slice, places: Floats) -> Floats:
    """Steps of some cells, averaged over those nearest to other places."""
    n = cells.stop - cells.start
    if n == 0 or len(places) == 0:
        return np.zeros_like(places)
    nearest = np.asarray(KDTree(coords[cells]).query(places, k=min(_CARRIERS, n))[1])
    mean: Floats = steps[cells][nearest.reshape(len(places), -1)].mean(axis=1)
    return mean
