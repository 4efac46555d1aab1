"""Physical scale of a movie: edge lengths of a voxel and time between frames."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError

_MOST_ANISOTROPIC = 1000.0


def check_scale(voxel_size: Sequence[float] | None, interval: float | None, ndim: int) -> None:
    """Refuse a scale that cannot be one.

    Args:
        voxel_size: Edge lengths in micrometres, ((z,) y, x), or None.
        interval: Seconds between frames, or None.
        ndim: Dimensions of a frame.

    Raises:
        InputError: Not one positive edge length a dimension, or an interval that is not positive.
    """
    if voxel_size is not None:
        edges = [float(edge) for edge in voxel_size]
        if len(edges) != ndim:
            raise InputError(
                f"voxel size {_by(edges)} has {len(edges)} numbers but frames have {ndim} dimensions; expected "
                f"{'z,y,x' if ndim == 3 else 'y,x'} in micrometres"
            )
        if not all(math.isfinite(edge) and edge > 0 for edge in edges):
            raise InputError(f"voxel size is {_by(edges)}; expected positive edge lengths in micrometres")
        if max(edges) > _MOST_ANISOTROPIC * min(edges):
            raise InputError(
                f"voxel size is {_by(edges)}, {max(edges) / min(edges):.0f}-fold apart; expected micrometres "
                "along every axis"
            )
    if interval is not None and not (math.isfinite(interval) and interval > 0):
        raise InputError(f"interval is {interval}; expected a positive number of seconds between frames")


def aspect(voxel_size: Sequence[float] | None, ndim: int) -> NDArray[np.float64]:
    """(D,) edge lengths of a voxel in pixels, that is in units of its edge along x; ones where nobody knows them.

    What is measured in pixels stays so: 2D movies of square pixels have (1, 1).

    >>> aspect((0.5, 0.25, 0.25), 3)
    array([2., 1., 1.])
    """
    if voxel_size is None:
        return np.ones(ndim)
    edges = np.asarray(voxel_size, dtype=np.float64)
    found: NDArray[np.float64] = edges / edges[-1]
    return found


def _by(edges: Sequence[float]) -> str:
    return " x ".join(f"{edge:g}" for edge in edges)
