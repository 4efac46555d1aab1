"""Physical scale of a movie: edge lengths of a voxel and time between frames."""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError

_MOST_ANISOTROPIC = 1000.0
_LENGTH = re.compile(r"([-+.\deE]+?)\s*(um|µm|μm)", re.IGNORECASE)  # the micro sign, and a mu


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
                f"voxel size {by_axis(edges)} has {len(edges)} numbers but frames have {ndim} dimensions; expected "
                f"{'z,y,x' if ndim == 3 else 'y,x'} in micrometres"
            )
        if not all(math.isfinite(edge) and edge > 0 for edge in edges):
            raise InputError(f"voxel size is {by_axis(edges)}; expected positive edge lengths in micrometres")
        if max(edges) > _MOST_ANISOTROPIC * min(edges):
            raise InputError(
                f"voxel size is {by_axis(edges)}, {max(edges) / min(edges):.0f}-fold apart; expected micrometres "
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


def is_isotropic(voxel_size: Sequence[float] | None) -> bool:
    """Whether all edges of a voxel are equally long, or nobody knows them.

    >>> is_isotropic((0.5, 0.25, 0.25)), is_isotropic((0.25, 0.25)), is_isotropic(None)
    (False, True, True)
    """
    return voxel_size is None or len({float(edge) for edge in voxel_size}) == 1


def micrometres(length: float | str) -> float | None:
    """Micrometres of a length that is given with its unit; None for a number, which counts pixels.

    Args:
        length: A number of pixels, or a text such as "12um", "12 µm".

    Raises:
        InputError: A text that is no length in micrometres.

    >>> micrometres("12um"), micrometres("0.5 µm"), micrometres(7.0)
    (12.0, 0.5, None)
    """
    if not isinstance(length, str):
        return None
    found = _LENGTH.fullmatch(length.strip())
    try:
        return float(found.group(1)) if found else float("")
    except ValueError:
        raise InputError(
            f"{length!r} is no length; expected micrometres such as '12um', or a number of pixels"
        ) from None


def length_in_pixels(name: str, length: float | str, voxel_size: Sequence[float] | None) -> float:
    """A length in pixels of x, see `aspect`.

    Args:
        name: What it is the length of, for errors.
        length: As for `micrometres`.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x), or None where nobody knows.

    Raises:
        InputError: A length in micrometres, and nobody knows how large a voxel is.

    >>> length_in_pixels("search_range", "12um", (0.5, 0.25, 0.25)), length_in_pixels("search_range", 12.0, None)
    (48.0, 12.0)
    """
    physical = micrometres(length)
    if physical is None:
        return float(length)
    if voxel_size is None:
        raise InputError(
            f"{name} is {length} but nobody knows how large a voxel is: give the voxel size too, or a number of pixels"
        )
    return physical / float(voxel_size[-1])


def by_axis(edges: Sequence[float]) -> str:
    """Lengths along every axis in words, such as "0.5 x 0.16 x 0.16"."""
    return " x ".join(f"{edge:g}" for edge in edges)
