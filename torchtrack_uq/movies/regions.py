"""Which cell of a movie's detections every pixel of a frame belongs to, and which of them meet."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.features import index_regions
from torchtrack_uq.movies.movie import Movie

_LARGEST_TABLE = 1 << 20  # above it, sorting the pairs is cheaper than counting them in a table


def index_cells(movie: Movie, detections: Detections, t: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Foreground pixels of frame `t` and the cell that each belongs to.

    Returns:
        Flat positions of the P foreground pixels, ascending, and for each which cell of the frame it belongs to,
        counted from 0; both int64.

    Raises:
        InputError: The masks hold other cells than `detections`.
    """
    where, label, cell = index_regions(movie.read_mask(t))
    if not np.array_equal(label, detections.label[detections.in_frame(t)]):
        raise InputError(
            f"{movie.masks.name} holds other cells in frame {t} than the detections; "
            "expected the masks that the detections were measured on"
        )
    return where, cell


def count_pairs(
    a: NDArray[np.integer], b: NDArray[np.integer], n_a: int, n_b: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct pairs (a, b), sorted, and how often each occurs."""
    key = a.astype(np.int64) * n_b + b
    if n_a * n_b <= _LARGEST_TABLE:
        table = np.bincount(key)
        pair = np.flatnonzero(table)
        counts = table[pair]
    else:
        pair, counts = np.unique(key, return_counts=True)
    first, second = np.divmod(pair, max(n_b, 1))
    return first, second, counts.astype(np.int64)
