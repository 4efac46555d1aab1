"""Refuse frames by the size that their files state, before memory is taken for them."""

import math
from collections.abc import Sequence

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.memory import available_memory

_SMALL = 1 << 26
_ABSURD = 10**18  # bytes; beyond some hundred digits they are no float
_COPIES = 2
"""A frame is there twice while it is decoded, and more often while its cells are measured."""


def check_frame_fits(shape: Sequence[int], dtype: "np.dtype[np.generic]", name: str) -> None:
    """Refuse a frame that cannot be held in memory, as damaged and hostile files state.

    Args:
        shape: Of all that is read at once.
        dtype: Of its pixels.
        name: The file, for the message.

    Raises:
        InputError: It is larger than what memory is available.

    >>> check_frame_fits((512, 512), np.dtype(np.uint16), "t000.tif")
    >>> check_frame_fits((1 << 22, 1 << 22), np.dtype(np.uint16), "t000.tif")
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: t000.tif states frames of 4194304 x 4194304 pixels, 35184.4 GB each, and ...
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _SMALL:
        return
    available = available_memory()
    if available is not None and _COPIES * size > available:
        gigabytes = f"{size / 1e9:.1f}" if size < _ABSURD else f"more than {_ABSURD / 1e9:.0e}"
        raise InputError(
            f"{name} states frames of {' x '.join(map(str, shape))} pixels, {gigabytes} GB each, and only "
            f"{available / 1e9:.1f} GB of memory are available; if it is meant so, crop the movie or use a larger "
            "machine, else the file is damaged"
        )
