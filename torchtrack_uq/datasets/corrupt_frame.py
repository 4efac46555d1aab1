"""Errors of a segmentation, made in the mask of one frame: cells missed, merged, split, made up, outlined badly."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.features import index_regions, measure_frame
from torchtrack_uq.movies.scale import aspect
from torchtrack_uq.perturb.bands import find_band
from torchtrack_uq.perturb.distance_map import nearest_cell
from torchtrack_uq.perturb.noise import NoiseSizes, draw_perturbation

MERGE_REACH = 0.25
"""Cells this far apart, in mean diameters of the two, can still run together."""
_TRIES = 200  # places tried for a made-up cell before there counts as being no room
_WIDEST = 3.0  # standard deviations of boundary noise that are looked at

Mask = NDArray[np.integer]


class Corruption(NamedTuple):
    """One error: its kind, the labels it was made of and the labels it left.

    "missed" left none, "merged" made one of two, "split" two of one, and "false" one of none.
    """

    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]


class Wanted(NamedTuple):
    """How many errors of each kind to make in a frame."""

    missed: int
    merged: int
    split: int
    false: int


def corrupt_frame(
    mask: Mask,
    wanted: Wanted,
    rng: np.random.Generator,
    boundary: float = 0.0,
    voxel_size: tuple[float, ...] | None = None,
) -> tuple[Mask, list[Corruption]]:
    """Make errors in one mask, every cell in one of them at most.

    Args:
        mask: (Y, X) or (Z, Y, X) integer labels, 0 for background.
        wanted: How many errors. There are fewer where there is nothing to make them of: no cell left, no pair that is
            near enough to run together, none of two pixels to split, no room for one more.
        rng: Where randomness comes from.
        boundary: Noise on every outline, in diameters, see `with_boundary_noise`.
        voxel_size: Edge lengths of a voxel in micrometres, for the noise on outlines; by default all equal.

    Returns:
        A new mask, int64, and what was done. Cells that survive keep their labels, a merged one that of the larger
        cell, a split one that for its larger part; new labels are above all others.

    Raises:
        InputError: Labels below 0, or above those of int64.

    >>> mask = np.zeros((6, 12), int)
    >>> mask[1:5, 1:3], mask[1:5, 3:6] = 4, 9
    >>> corrupt_frame(mask, Wanted(0, 1, 0, 0), np.random.default_rng(0))[1]
    [Corruption(kind='merged', before=(4, 9), after=(9,))]
    """
    check_labels(mask)
    found = with_boundary_noise(mask.astype(np.int64), boundary, rng, voxel_size)
    where, label, cell = index_regions(found)
    occupied = (mask != 0) | (found != 0)
    order = rng.permutation(len(label))
    missed = order[: wanted.missed]
    done = [Corruption("missed", (int(label[i]),), ()) for i in missed]
    found.ravel()[where[np.isin(cell, missed)]] = 0
    free = np.ones(len(label), dtype=np.bool_)
    free[missed] = False
    next_label = int(label.max(initial=0)) + 1
    merges = _merge(found, label, free, wanted.merged, rng) if wanted.merged else []
    splits = []
    area = np.bincount(cell, minlength=len(label))
    divisible = [i for i in order if free[i] and area[i] > 1][: wanted.split]
    for new, i in enumerate(divisible, start=next_label):
        _split(found, where[cell == i], new)
        splits.append(Corruption("split", (int(label[i]),), (int(label[i]), new)))
    next_label += len(splits)
    false: list[Corruption] = []
    for _ in range(wanted.false if len(label) else 0):
        if not _make_up(found, occupied, where[cell == rng.integers(len(label))], next_label, rng):
            break
        false.append(Corruption("false", (), (next_label,)))
        next_label += 1
    return found, done + merges + splits + false


def check_labels(mask: Mask) -> None:
    """Refuse labels that are none.

    Raises:
        InputError: Labels below 0, or above those of int64.
    """
    if mask.size and not 0 <= int(mask.min()) <= int(mask.max()) < np.iinfo(np.int64).max - mask.size:
        raise InputError(
            f"labels run from {mask.min()} to {mask.max()}; expected 0 for background, others positive"
        )


def with_boundary_noise(
    mask: Mask, boundary: float, rng: np.random.Generator, voxel_size: tuple[float, ...] | None = None
) -> Mask:
    """The mask with every cell's outline drawn anew: smooth bumps of standard deviation `boundary` diameters.

    As `torchtrack_uq.perturb` has it for FP: every cell keeps a pixel at least, and no cell grows into another.
    """
    edges = aspect(voxel_size, mask.ndim)
    cells = measure_frame(mask, aspect=edges)
    n = len(cells.label)
    if not n or boundary == 0:
        return mask
    where, _, cell = index_regions(mask)
    owner = np.zeros(mask.shape, np.int32)
    owner.ravel()[where] = cell + 1
    detections = Detections(
        frame=np.zeros(n, dtype=np.int64),
        label=cells.label,
        coords=cells.centroid,
        n_frames=1,
        features={"equivalent_diameter_area": cells.diameter.astype(np.float32)[:, None]},
        voxel_size=voxel_size,
    )
    noise = draw_perturbation(detections, NoiseSizes(0.0, 0.0, 0.0, boundary), rng)
    band = find_band(owner, 1.0 + _WIDEST * boundary * float(cells.diameter.max()), edges)
    kept = band.kept([noise], slice(0, n))[:, 0]
    found = mask.copy()
    found.ravel()[band.where] = np.where(kept, cells.label[band.cell], 0)
    return found


def near_pairs(mask: Mask, reach: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of cells with no other cell between them that are at most `reach` mean diameters apart.

    Returns:
        (P, 2) labels, the smaller first, and (P,) pixels of background between the two: 0 where they touch.

    >>> near_pairs(np.array([[3, 3, 8, 8, 0, 5, 5]]), reach=1.0)
    (array([[3, 8],
           [5, 8]]), array([0., 1.]))
    """
    cells = measure_frame(mask)
    n = len(cells.label)
    where, _, cell = index_regions(mask)
    owner = np.zeros(mask.shape, np.int32)
    owner.ravel()[where] = cell + 1
    limit = reach * float(cells.diameter.max(initial=0.0)) / 2 + 2
    squared, nearest = nearest_cell(owner, owner > 0, limit)
    inside = squared < int(np.ceil(limit**2))
    distance = np.sqrt(squared)
    keys, gaps = [], []
    for axis in range(mask.ndim):
        here, there = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        a, b = nearest[tuple(here)], nearest[tuple(there)]
        meet = inside[tuple(here)] & inside[tuple(there)] & (a != b)
        first, second = np.minimum(a[meet], b[meet]) - 1, np.maximum(a[meet], b[meet]) - 1
        keys.append(first.astype(np.int64) * max(n, 1) + second)
        gaps.append(distance[tuple(here)][meet] + distance[tuple(there)][meet])
    key, pair = np.unique(np.concatenate(keys), return_inverse=True)
    gap = np.full(len(key), np.inf)
    np.minimum.at(gap, pair, np.concatenate(gaps))
    pairs = np.stack([key // max(n, 1), key % max(n, 1)], axis=1)
    near = gap <= reach * cells.diameter[pairs].mean(axis=1)
    near |= gap == 0
    return cells.label[pairs[near]], gap[near]


def _merge(
    found: Mask, label: NDArray[np.int64], free: NDArray[np.bool_], wanted: int, rng: np.random.Generator
) -> list[Corruption]:
    """Let pairs run together, those that touch before others; marks them in `free` as taken."""
    pairs, gap = near_pairs(found, MERGE_REACH)
    done: list[Corruption] = []
    for p in np.lexsort((rng.random(len(gap)), gap > 0)):
        if len(done) == wanted:
            break
        i = np.searchsorted(label, pairs[p])
        if not free[i].all():
            continue
        free[i] = False
        area = [np.count_nonzero(found == k) for k in pairs[p]]
        first, second = (int(k) for k in pairs[p])
        kept = first if area[0] >= area[1] else second
        _run_together(found, first, second, kept)
        done.append(Corruption("merged", (first, second), (kept,)))
    return done


def _run_together(found: Mask, first: int, second: int, kept: int) -> None:
    """One label for two cells and for the background where they are nearest."""
    both = (found == first) | (found == second)
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(both))
    part = found[box]
    far = ndimage.distance_transform_edt(part != first) + ndimage.distance_transform_edt(part != second)
    between = part == 0
    if between.any():
        # no more than a pixel's detour on the way from one to the other
        narrowest = float(np.min(far[(part == first) | (part == second)]))
        part[between & (far <= narrowest + 0.5)] = kept
    part[(part == first) | (part == second)] = kept


def _split(found: Mask, pixels: NDArray[np.int64], new: int) -> None:
    """Cut a cell along its minor axis through its centroid; the smaller part gets the new label."""
    at = np.stack(np.unravel_index(pixels, found.shape), axis=1).astype(np.float64)
    at -= at.mean(axis=0)
    major = np.linalg.eigh(at.T @ at)[1][:, -1]
    along = at @ major
    side = along > 1e-9 * np.abs(along).max()
    if 2 * side.sum() > len(side):
        side = ~side
    found.ravel()[pixels[side]] = new


def _make_up(
    found: Mask, occupied: NDArray[np.bool_], pixels: NDArray[np.int64], new: int, rng: np.random.Generator
) -> bool:
    """Put a cell's shape, mirrored at random, where there is none: at least half of it must fit between others."""
    at = np.stack(np.unravel_index(pixels, found.shape), axis=1)
    shape = np.array(found.shape)
    at -= at.min(axis=0)
    extent = at.max(axis=0) + 1
    at = np.where(rng.integers(2, size=found.ndim) == 1, extent - 1 - at, at)
    corners = rng.integers(0, shape - extent + 1, size=(_TRIES, found.ndim))
    for corner in corners:
        place = tuple((at + corner).T)
        room = ~occupied[place]
        if 2 * room.sum() >= len(room) and room.any():
            kept = tuple(axis[room] for axis in place)
            found[kept] = new
            occupied[kept] = True
            return True
    return False
