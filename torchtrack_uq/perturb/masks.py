"""Masks with noisy boundaries, by thresholding a perturbed signed distance map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from torchtrack_uq.detections import Detections
from torchtrack_uq.frames import Frame, FrameSource
from torchtrack_uq.measure import index_regions
from torchtrack_uq.movie import Movie
from torchtrack_uq.perturb.detections import HARMONICS, NoiseSizes, Perturbation

Floats32 = NDArray[np.float32]
_WIDEST = 3.0  # standard deviations of noise that the band around a boundary has room for


@dataclass(frozen=True)
class Band:
    """The K pixels of a frame that noise can change.

    Attributes:
        where: (K,) flat positions.
        cell: (K,) which cell of the frame each belongs to, or would belong to.
        distance: (K,) signed distance to that cell's boundary in pixels, positive inside.
        normal: (K, D) gradient of the distance map, which points inwards.
        angle: (K,) direction of the pixel as seen from the cell's centre, in radians.
    """

    where: NDArray[np.int64]
    cell: NDArray[np.int64]
    distance: Floats32
    normal: Floats32
    angle: Floats32


class Boundaries:
    """Signed distance maps near the boundaries of a movie's masks, computed once for all copies.

    Where cells touch, noise lets the background in between them but no cell into its neighbour.

    Args:
        movie: The masks.
        detections: Their cells.
        sizes: Noise that the bands must have room for.
    """

    def __init__(self, movie: Movie, detections: Detections, sizes: NoiseSizes) -> None:
        self.movie, self.detections, self.sizes = movie, detections, sizes
        self._bands: dict[int, Band] = {}

    def band(self, t: int, mask: Frame, diameter: NDArray[np.float64]) -> Band:
        """The band of frame `t`."""
        if t not in self._bands:
            relative = np.sqrt(self.sizes.position**2 + (self.sizes.size / 2) ** 2 + self.sizes.boundary**2)
            width = 1.0 + _WIDEST * float(relative * diameter.max(initial=0.0))
            self._bands[t] = find_band(mask, width)
        return self._bands[t]


def find_band(mask: Frame, width: float) -> Band:
    """Pixels closer than `width` pixels to a boundary, with their signed distance.

    Args:
        mask: (Y, X) or (Z, Y, X) integer labels.
        width: Half the width of the band in pixels.

    >>> mask = np.zeros((1, 9), int)
    >>> mask[0, 3:6] = 7
    >>> band = find_band(mask, 1.0)
    >>> band.where, band.distance
    (array([2, 3, 5, 6]), array([-0.5,  0.5,  0.5, -0.5], dtype=float32))
    """
    where, label, cell = index_regions(mask)
    cells = np.full(mask.shape, -1, np.int64)
    cells.ravel()[where] = cell
    if not len(label):
        nothing = np.zeros(0, np.float32)
        empty = np.zeros(0, np.int64)
        return Band(empty, empty, nothing, np.zeros((0, mask.ndim), np.float32), nothing)
    outside, nearest = ndimage.distance_transform_edt(cells < 0, return_indices=True)
    inside = ndimage.distance_transform_edt((cells >= 0) & ~_touches_another(cells))
    distance = np.where(cells >= 0, np.maximum(inside - 0.5, 0.5), 0.5 - outside).astype(np.float32)
    owner = cells[tuple(nearest)]
    at = np.flatnonzero(np.abs(distance).ravel() < width)
    own = owner.ravel()[at]
    slopes = [
        np.gradient(distance, axis=d).ravel()[at] if size > 1 else np.zeros(len(at))
        for d, size in enumerate(mask.shape)
    ]
    rows = np.unravel_index(at, mask.shape)[-2:]
    centre = np.stack(np.unravel_index(where, mask.shape)[-2:])
    sums = [np.bincount(cell, weights=axis) / np.bincount(cell) for axis in centre]
    angle = np.arctan2(rows[0] - sums[0][own], rows[1] - sums[1][own])
    return Band(
        at, own, distance.ravel()[at], np.stack(slopes, axis=-1).astype(np.float32), angle.astype(np.float32)
    )


def _touches_another(cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels beside a pixel of another cell."""
    touches = np.zeros(cells.shape, bool)
    for axis in range(cells.ndim):
        a, b = (np.take(cells, range(k, cells.shape[axis] - 1 + k), axis) for k in (0, 1))
        differs = (a != b) & (a >= 0) & (b >= 0)
        for k in (0, 1):
            index = [slice(None)] * cells.ndim
            index[axis] = slice(k, cells.shape[axis] - 1 + k)
            touches[tuple(index)] |= differs
    return touches


class PerturbedMasks(FrameSource):
    """The masks of a movie as they would have been segmented with some noise.

    A pixel x belongs to cell i where d(x) - shift_i · n(x) + growth_i + bumps_i(x) > 0, with d the signed
    distance to the cell's boundary and n its gradient. Every cell keeps its label and at least its innermost
    pixel; no cell loses or gains a pixel under no noise.

    Args:
        boundaries: Distance maps, shared between copies.
        noise: One draw of noise.
    """

    def __init__(self, boundaries: Boundaries, noise: Perturbation) -> None:
        self._boundaries, self._noise = boundaries, noise
        self._masks = boundaries.movie.masks
        self.name, self.n_frames = self._masks.name, self._masks.n_frames
        self.frame_shape, self.dtype = self._masks.frame_shape, self._masks.dtype

    def read(self, t: int) -> Frame:
        """Read and perturb frame `t`."""
        mask = self._masks.read(t)
        cells, noise = self._boundaries.detections.in_frame(t), self._noise
        if cells.start == cells.stop:
            return mask
        band = self._boundaries.band(t, mask, noise.diameter[cells])
        label = self._boundaries.detections.label[cells]
        offset = band.distance - np.einsum("kd,kd->k", noise.shift[cells][band.cell], band.normal)
        growth = np.expm1(noise.growth[cells]) * noise.diameter[cells] / 2
        bumps = noise.bumps[cells][band.cell]
        for k, harmonic in enumerate(HARMONICS):
            angle = harmonic * band.angle
            offset = offset + bumps[:, 2 * k] * np.cos(angle) + bumps[:, 2 * k + 1] * np.sin(angle)
        keep = offset + growth[band.cell] > 0
        innermost = np.lexsort((band.distance, band.cell))
        last = np.flatnonzero(np.diff(band.cell[innermost], append=-1) != 0)
        keep[innermost[last]] |= band.distance[innermost[last]] > 0
        perturbed = mask.copy()
        perturbed.ravel()[band.where] = np.where(keep, label[band.cell], 0).astype(mask.dtype)
        return perturbed
