"""Region properties of one frame: where every cell is, how large, how elongated, how bright."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BORDER_CUTOFF = 5
_LARGEST_COUNTED_LABEL = 1 << 20  # above it, sorting the labels is cheaper than counting them


@dataclass(frozen=True)
class FrameMeasurements:
    """Cells of one frame, sorted by label; n cells in d dimensions.

    Attributes:
        label: (n,) int64.
        centroid: (n, d) float64, pixels.
        diameter: (n,) float64, pixels of x: diameter of the disc or ball of the same size.
        inertia: (n, d * d) float64, pixels of x squared: inertia tensor as in skimage.
        border: (n,) float64: 1 for a cell at the image border, 0 for one at least 5 pixels away.
        intensity: (n,) float64: mean intensity, 0 where there is no image.
    """

    label: NDArray[np.int64]
    centroid: NDArray[np.float64]
    diameter: NDArray[np.float64]
    inertia: NDArray[np.float64]
    border: NDArray[np.float64]
    intensity: NDArray[np.float64]


def measure_frame(
    mask: NDArray[np.generic],
    image: NDArray[np.generic] | None = None,
    aspect: NDArray[np.float64] | None = None,
) -> FrameMeasurements:
    """Measure every labelled region of a mask.

    The properties are `centroid`, `equivalent_diameter_area`, `inertia_tensor` and `intensity_mean` of
    `skimage.measure.regionprops` and Trackastra's distance to the border, from sums over foreground pixels
    (skimage visits cells one by one, which took most of a Trackastra run on a CPU).

    Args:
        mask: (Y, X) or (Z, Y, X) integer labels, 0 for background.
        image: Image of the same shape, or None.
        aspect: (d,) edge lengths of a voxel in units of its edge along x (`torchtrack_uq.movies.scale.aspect`), which
            skimage calls `spacing`: sizes and inertia are of the cells as they are in space. By default all equal.
            Centroids stay pixels, and the distance to the border counts pixels of y and x.

    >>> cells = measure_frame(np.array([[0, 7, 7], [0, 7, 7]]))
    >>> cells.label, cells.centroid
    (array([7]), array([[0.5, 1.5]]))
    """
    where, label, cell = index_regions(mask)
    n, ndim = len(label), mask.ndim
    axes = np.unravel_index(where, mask.shape)
    area = np.bincount(cell, minlength=n).astype(np.float64)
    edges = np.ones(ndim) if aspect is None else aspect

    def per_cell(weights: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.bincount(cell, weights=weights, minlength=n) / area

    centroid = np.stack([per_cell(axis) for axis in axes], axis=-1) if n else np.zeros((0, ndim))
    centred = [(axis - centroid[cell, d]) * edges[d] for d, axis in enumerate(axes)]
    inertia = np.zeros((n, ndim, ndim))
    for a in range(ndim):
        for b in range(a, ndim):
            moment = per_cell(centred[a] * centred[b])
            if a == b:
                inertia += moment[:, None, None] * np.eye(ndim)
            inertia[:, a, b] -= moment
            if a != b:
                inertia[:, b, a] -= moment
    return FrameMeasurements(
        label=label,
        centroid=centroid,
        diameter=(2 * ndim * (area * np.prod(edges)) / math.pi) ** (1 / ndim),
        inertia=inertia.reshape(n, ndim * ndim),
        border=_closeness_to_border(axes[-2:], mask.shape[-2:], cell, n),
        intensity=np.zeros(n) if image is None else per_cell(np.asarray(image).ravel()[where]),
    )


def index_regions(
    mask: NDArray[np.generic],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Foreground pixels of a mask and the cell that each belongs to.

    Args:
        mask: Integer labels of any shape, 0 for background.

    Returns:
        Flat positions of the P foreground pixels; the n labels, ascending; and for each pixel, which of the
        n cells it belongs to. All int64.

    >>> index_regions(np.array([0, 7, 3, 7]))
    (array([1, 2, 3]), array([3, 7]), array([1, 0, 1]))
    """
    where = np.flatnonzero(mask.ravel() != 0)  # of booleans, which numpy does several times faster
    pixel_label = mask.ravel()[where]
    if not len(where) or int(pixel_label.max()) > _LARGEST_COUNTED_LABEL:
        label, cell = np.unique(pixel_label, return_inverse=True)
        return where, label.astype(np.int64), cell.astype(np.int64)
    pixel_label = pixel_label.astype(np.int64)
    present = np.bincount(pixel_label) > 0
    return where, np.flatnonzero(present), (np.cumsum(present) - 1)[pixel_label]


def _closeness_to_border(
    axes: tuple[NDArray[np.intp], ...], shape: tuple[int, ...], cell: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """1 - (distance of a cell's outermost pixel to the border in y or x) / 5, at least 0."""
    distance = np.minimum.reduce(
        [np.minimum(axis, size - 1 - axis) for axis, size in zip(axes, shape, strict=True)]
    )
    near = np.flatnonzero(distance < _BORDER_CUTOFF)
    closeness = np.zeros(n)
    np.maximum.at(closeness, cell[near], 1 - distance[near] / _BORDER_CUTOFF)
    return closeness
