"""The pixels near the boundaries of cells, and which of them a cell keeps under noise."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.perturb.distance_map import nearest_cell, nearest_in_space
from torchtrack_uq.perturb.noise import HARMONICS, Perturbation
from torchtrack_uq.utils.kernel import kernel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Band:
    """The K pixels of a frame that noise can change.

    Attributes:
        where: (K,) int64 flat positions, ascending.
        cell: (K,) int64, which cell of the frame each belongs to, or would belong to.
        distance: (K,) signed distance to that cell's boundary in pixels of x, positive inside.
        normal: (K, D) gradient of the distance map, which points inwards.
        waves: (K, 2 H) cosine and sine of every harmonic at the direction of the pixel as seen from the cell's
            centre.
        innermost: (n,) int64, for each cell that has any the pixel of the band that it keeps in any case.
    """

    where: NDArray[np.int64]
    cell: NDArray[np.int64]
    distance: Floats32
    normal: Floats32
    waves: Floats32
    innermost: NDArray[np.int64]

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return sum(getattr(self, item.name).nbytes for item in fields(self))

    def kept(self, noises: Sequence[Perturbation], cells: slice) -> NDArray[np.bool_]:
        """(K, R) bool: which pixels belong to their cell under each of R draws of noise.

        Pixel x belongs to cell i where d(x) - shift_i · n(x) + growth_i + bumps_i(x) > 0. Every cell keeps its
        innermost pixel.

        Args:
            noises: The draws.
            cells: The cells of this frame among those that the draws are for.
        """
        # the draws come last: the loop over them is the innermost
        shift = np.stack([noise.shift[cells] for noise in noises], axis=-1)
        bumps = np.stack([noise.bumps[cells] for noise in noises], axis=-1)
        growth = np.stack(
            [np.expm1(noise.growth[cells]) * noise.diameter[cells] / 2 for noise in noises], axis=-1
        )
        kept = np.empty((len(self.where), len(noises)), np.bool_)
        _keep(self.cell, self.distance, self.normal, self.waves, shift, growth, bumps, kept)
        kept[self.innermost] |= (self.distance[self.innermost] > 0)[:, None]
        return kept


@kernel
def _keep(
    cell: NDArray[np.int64],
    distance: Floats32,
    normal: Floats32,
    waves: Floats32,
    shift: Floats,
    growth: Floats,
    bumps: Floats,
    kept: NDArray[np.bool_],
) -> None:
    n_copies = kept.shape[1]
    along, offset = np.empty(n_copies), np.empty(n_copies)
    for k in range(len(cell)):
        i = cell[k]
        along[:] = 0.0
        for d in range(normal.shape[1]):
            slope = np.float64(normal[k, d])
            for r in range(n_copies):
                along[r] += shift[i, d, r] * slope
        for r in range(n_copies):
            offset[r] = distance[k] - along[r]
        for h in range(waves.shape[1]):
            wave = np.float64(waves[k, h])
            for r in range(n_copies):
                offset[r] += bumps[i, h, r] * wave
        for r in range(n_copies):
            kept[k, r] = offset[r] + growth[i, r] > 0


def find_band(cells: NDArray[np.int32], width: float, aspect: Floats | None = None) -> Band:
    """Pixels closer than `width` pixels to a boundary, with their signed distance.

    Args:
        cells: (Y, X) or (Z, Y, X), 1 + the cell that each pixel belongs to, 0 for none.
        width: Half the width of the band in pixels of x.
        aspect: (D,) edge lengths of a voxel in units of its edge along x; by default all equal.

    >>> cells = np.zeros((1, 9), np.int32)
    >>> cells[0, 3:6] = 1
    >>> band = find_band(cells, 1.0)
    >>> band.where, band.distance
    (array([2, 3, 5, 6]), array([-0.5,  0.5,  0.5, -0.5], dtype=float32))
    """
    edges = np.ones(cells.ndim) if aspect is None else aspect
    cubes = bool((edges == 1).all())
    distance, owner = _signed_of_cubes(cells, width) if cubes else _signed_distance(cells, width, edges)
    where = np.flatnonzero((np.abs(distance) < width).ravel())
    cell = owner.ravel()[where].astype(np.int64) - 1
    near = distance.ravel()[where]
    axes = np.unravel_index(where, cells.shape)
    return Band(
        where,
        cell,
        near,
        np.stack([_slope(distance, axes, d) / np.float32(edges[d]) for d in range(cells.ndim)], axis=-1),
        _waves(cells, axes[-2:], cell, edges[-2:]),
        _innermost(near, cell, int(cells.max(initial=0))),
    )


def _signed_of_cubes(cells: NDArray[np.int32], width: float) -> tuple[Floats32, NDArray[np.int32]]:
    """Distance of pixels to the boundary of the nearest cell, positive inside, and 1 + that cell; far ones as far."""
    foreground = cells > 0
    limit = width + 2.5  # neighbours of the band's pixels are up to 1.5 pixels farther
    outside, owner = nearest_cell(cells, foreground, limit)
    inside, _ = nearest_cell(cells, ~foreground | (_nearest_face(cells, np.ones(cells.ndim)) > 0), limit)
    root = np.sqrt(np.arange(max(int(outside.max(initial=0)), int(inside.max(initial=0))) + 1))
    distance: Floats32 = np.where(
        foreground,
        np.maximum(root - 0.5, 0.5).astype(np.float32)[inside],
        (0.5 - root).astype(np.float32)[outside],
    )
    return distance, owner


def _signed_distance(
    cells: NDArray[np.int32], width: float, edges: Floats
) -> tuple[Floats32, NDArray[np.int32]]:
    """The same where voxels are no cubes: the boundary is where the voxels end, half a plane away along z."""
    foreground = cells > 0
    limit = width + 1.0 + 1.5 * float(edges.max())
    face = _nearest_face(cells, edges)
    outside, owner = nearest_in_space(cells, foreground, limit, edges)
    inside, _ = nearest_in_space(cells, ~foreground | (face > 0), limit, edges)
    half = edges.min() / 2
    from_inside = np.where(face > 0, face, np.sqrt(inside) - half)
    return np.where(foreground, from_inside, half - np.sqrt(outside)).astype(np.float32), owner


def _slope(distance: Floats32, axes: tuple[NDArray[np.intp], ...], d: int) -> Floats32:
    """`np.gradient` along axis `d` at some pixels."""
    size, at = distance.shape[d], axes[d]
    if size == 1:
        return np.zeros(len(at), np.float32)
    step = int(np.prod(distance.shape[d + 1 :]))
    flat = distance.ravel()
    position = np.ravel_multi_index(axes, distance.shape)
    ahead, behind = at < size - 1, at > 0
    rise = flat[position + step * ahead] - flat[position - step * behind]
    slope: Floats32 = np.where(ahead & behind, rise / np.float32(2), rise)
    return slope


def _waves(
    cells: NDArray[np.int32], axes: tuple[NDArray[np.intp], ...], cell: NDArray[np.int64], edges: Floats
) -> Floats32:
    """(K, 2 H) cosines and sines at the angle of pixels around the centre of their cell, in the last two axes."""
    where = np.flatnonzero(cells.ravel() > 0)
    of = cells.ravel()[where]
    rows = np.unravel_index(where, cells.shape)[-2:]
    with np.errstate(invalid="ignore"):  # 0 / 0 for the background, which is no cell
        y, x = ((np.bincount(of, weights=row) / np.bincount(of))[1:] for row in rows)
    angle = np.arctan2((axes[0] - y[cell]) * edges[0], (axes[1] - x[cell]) * edges[1]).astype(np.float32)
    waves = np.empty((len(cell), 2 * len(HARMONICS)), np.float32)
    for k, harmonic in enumerate(HARMONICS):
        waves[:, 2 * k], waves[:, 2 * k + 1] = np.cos(harmonic * angle), np.sin(harmonic * angle)
    return waves


@kernel
def _innermost(distance: Floats32, cell: NDArray[np.int64], n_cells: int) -> NDArray[np.int64]:
    """The last pixel of the largest distance of each cell that has any."""
    best = np.full(n_cells, -1, np.int64)
    for k in range(len(cell)):
        if best[cell[k]] < 0 or distance[k] >= distance[best[cell[k]]]:
            best[cell[k]] = k
    return best[best >= 0]


def _nearest_face(cells: NDArray[np.int32], edges: Floats) -> Floats32:
    """Distance of pixels beside a pixel of another cell to the face between them; 0 for all others."""
    face = np.zeros(cells.shape, np.float32)
    for axis in np.argsort(-edges, kind="stable"):  # the nearest face comes last, and stays
        here, there = np.moveaxis(cells, axis, 0)[:-1], np.moveaxis(cells, axis, 0)[1:]
        differs = (here != there) & (here > 0) & (there > 0)
        found = np.moveaxis(face, axis, 0)
        found[:-1][differs] = found[1:][differs] = edges[axis] / 2
    return face
