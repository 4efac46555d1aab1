"""A movie of three cells, one of which divides, and the same tracks in the hands of other programs."""

import numpy as np
import pandas as pd

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie

N_FRAMES = 6


def small_masks() -> np.ndarray:
    """(6, 48, 64) uint16: cells 1 and 2 drift to the right, 2 divides into 3 and 4 after frame 2."""
    masks = np.zeros((N_FRAMES, 48, 64), np.uint16)
    for t in range(N_FRAMES):
        masks[t, 5:11, 6 + 2 * t : 12 + 2 * t] = 1
        if t < 3:
            masks[t, 28:36, 10 + 2 * t : 18 + 2 * t] = 2
        else:
            masks[t, 24 - t : 30 - t, 12 + 2 * t : 18 + 2 * t] = 3
            masks[t, 33 + t : 39 + t, 12 + 2 * t : 18 + 2 * t] = 4
    return masks


LINEAGE = [(1, 0, 5, 0), (2, 0, 2, 0), (3, 3, 5, 2), (4, 3, 5, 2)]


def small_cells() -> Detections:
    """The 15 cells of `small_masks`."""
    return Detections.from_movie(Movie.open(None, small_masks()), progress=False)


def as_spots() -> pd.DataFrame:
    """Its cells as a table: frame, label, y, x."""
    cells = small_cells()
    return pd.DataFrame(
        {"frame": cells.frame, "label": cells.label, "y": cells.coords[:, 0], "x": cells.coords[:, 1]}
    )


LINKS = {(t, label, t + 1, label) for label, begin, end, _ in LINEAGE for t in range(begin, end)} | {
    (2, 2, 3, 3),
    (2, 2, 3, 4),
}
"""Frame and label of mother and daughter."""
