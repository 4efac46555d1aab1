"""What neighbouring cells have in common in how they move: drift, flow, growth, found without knowing any link.

Each cell is paired with the nearest one of the frame before, where both are nearest to each other; the motion around a
cell is the median over its neighbours' pairs, itself left out; and cells are paired again with that motion taken out.
What neighbours do says nothing where each cell goes its own way. Then such pairs are often wrong too, so the motion
counts only as far as it explains the pairs' displacements: by 1 - (median residual)² / (median displacement)², the
coefficient of determination with medians for means, and not at all below 0.

Pairs of nearest cells find nothing where cells move farther than they lie apart. So the search starts from other places
as well: from the growth of the whole cloud of cells (their mean and their spread), and from that with the displacement
that most pairs of near cells agree on. Such a search counts where it leaves cells clearly nearer to each other than the
first one does: less clearly, the more cells there are, where the cloud has grown in number as in space, as a colony of
dividing cells does.
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
_STILL = 1 / 8
"""Of the distance between neighbours: where cells are left nearer than that, nothing else is looked for."""
_CLEARLY, _CLEARLIER = 0.8, 0.7
"""How near a search has to leave cells, to the first one; chosen on training movies and simulated windows."""
_GROWN, _AS_DENSE = 1.08, 1.3
"""From what factor on a cloud of cells has grown, in number and in space, and within what factor these agree."""
_CANDIDATES = 15
_BIN = 0.35
"""Of the distance between neighbours; displacements that differ by less agree."""


def common_motion(before: Floats, after: Floats) -> Floats:
    """How far the surroundings of each cell have moved since the frame before.

    Args:
        before: (m, D) places of the cells of a frame, in units that are the same along all axes.
        after: (n, D) those of the next frame.

    Returns:
        (n, D) displacements; 0 where frames hold fewer than five cells, or neighbours have nothing in common. Frames of
        fewer than twenty cells, each of which goes more than half the way to its neighbour, may be shifted as a whole.

    >>> grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    >>> np.round(common_motion(10 * grid, 10 * grid + 3), 3)[0]
    array([3., 3.])
    """
    still = np.zeros_like(after, dtype=np.float64)
    if min(len(before), len(after)) < _FEWEST:
        return still
    earlier = KDTree(before)
    motion = _searched(earlier, after, still)
    first = nearest = _left_apart(earlier, after, motion)
    apart = float(np.median(np.asarray(earlier.query(before, k=2)[0])[:, 1]))
    if not first > _STILL * apart:
        return motion
    growth = _growth(before, after)
    agreed = growth + _agreed(earlier, after - growth, apart)
    # as a colony of dividing cells grows: then what is left apart need not be less by more than its sampling error
    at_least = 1 - min(len(before), len(after)) ** -0.5 if _keeps_its_density(before, after) else 0.0
    for found, clearly in (
        (_searched(earlier, after, growth), _CLEARLY),
        (_searched(earlier, after, agreed), _CLEARLIER),
        (growth + _searched(earlier, after - growth, still), _CLEARLIER),
    ):
        left = _left_apart(earlier, after, found)
        if left < min(nearest, max(clearly, at_least) * first):
            motion, nearest = found, left
    return motion


def _searched(earlier: KDTree, after: Floats, start: Floats) -> Floats:
    """Motion of neighbours, paired again and again with what was found taken out; 0 where too few are pairs."""
    motion, known = start, np.zeros(0)
    for _ in range(_ROUNDS):
        back = after - motion
        partner = np.asarray(earlier.query(back)[1])
        mutual = np.asarray(KDTree(back).query(earlier.data)[1])[partner] == np.arange(len(after))
        if mutual.sum() < _FEWEST:
            return np.zeros_like(motion)
        pairs = np.where(mutual, partner, -1)
        if np.array_equal(pairs, known):  # so is all that follows from them
            break
        known = pairs
        displacement = (after - earlier.data[partner])[mutual]
        around = _median_of_neighbours(after[mutual], displacement, after, mutual)
        length = float(np.median(np.linalg.norm(displacement, axis=1)))
        left = float(np.median(np.linalg.norm(displacement - around[mutual], axis=1)))
        explained = max(0.0, 1 - (left / length) ** 2) if length > 0 else 0.0
        motion = explained * around
    return motion


def _left_apart(earlier: KDTree, after: Floats, motion: Floats) -> float:
    """Median distance to the nearest cell of the other frame, with the motion taken out; the mean of both ways."""
    back = after - motion
    there, here = earlier.query(back)[0], KDTree(back).query(earlier.data)[0]
    return float(np.median(there) + np.median(here)) / 2


def _growth(before: Floats, after: Floats) -> Floats:
    """(n, D) displacements, had all cells moved away from their middle as far as their spread has grown."""
    middle, out = before.mean(axis=0), after - after.mean(axis=0)
    spread = _spread(before), _spread(after)
    shrunk = spread[0] / spread[1] if spread[1] > 0 else 1.0
    displaced: Floats = after - (middle + out * shrunk)
    return displaced


def _keeps_its_density(before: Floats, after: Floats) -> bool:
    """Whether a cloud of cells has grown, and in number as in space."""
    spread = _spread(before), _spread(after)
    if not min(spread) > 0:
        return False
    grown, more = float(spread[1] / spread[0]) ** before.shape[1], len(after) / len(before)
    return bool(min(grown, more) > _GROWN and 1 / _AS_DENSE <= grown / more <= _AS_DENSE)


def _spread(places: Floats) -> float:
    """Root mean square distance from the middle."""
    return float(np.sqrt(((places - places.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _agreed(earlier: KDTree, after: Floats, apart: float) -> Floats:
    """(D,) the displacement that most pairs of near cells agree on, true pairs alone having one in common."""
    if not apart > 0:
        return np.zeros(after.shape[1])
    near = np.asarray(earlier.query(after, k=min(_CANDIDATES, earlier.n))[1]).reshape(len(after), -1)
    displacement = (after[:, None] - earlier.data[near]).reshape(-1, after.shape[1])
    box, n = np.unique(np.floor(displacement / (_BIN * apart)), axis=0, return_counts=True)
    tree = KDTree(box)
    around = tree.query_ball_point(box, 1.5, p=np.inf)
    fullest = int(np.argmax([n[boxes].sum() for boxes in around]))
    middle = np.average(box[around[fullest]] + 0.5, axis=0, weights=n[around[fullest]]) * _BIN * apart
    agreeing = np.linalg.norm(displacement - middle, axis=1) < _BIN * apart
    mean: Floats = displacement[agreeing].mean(axis=0) if agreeing.any() else middle
    return mean


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
