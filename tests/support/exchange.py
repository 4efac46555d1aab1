"""A result that has everything which formats differ in, and tracks in one form however they came back."""

import numpy as np
import pandas as pd

from torchtrack_uq import OverlapTracker, TrackingResult, UncertainTracker

Links = dict[tuple[tuple[int, int], tuple[int, int]], float]
"""Probability of each link, from (frame, label) to (frame, label)."""


def gap_and_division(*, planes: int = 0, voxel_size: tuple[float, ...] | None = None) -> TrackingResult:
    """Cell 1 divides into 2 and 3, cell 9 is missed in frame 2, cell 7 is in frame 4 alone; labels are not consecutive.

    Args:
        planes: Planes of a 3D movie; 0 for 2D.
        voxel_size: Micrometres a voxel.
    """
    masks = np.zeros((5, 40, 60), np.uint16)
    for t in range(5):
        if t < 3:
            masks[t, 10:18, 10 + 3 * t : 18 + 3 * t] = 1
        else:
            masks[t, 8:14, 20:26], masks[t, 16:22, 20:26] = 2, 3
        if t != 2:
            masks[t, 28:34, 44:52] = 9
    masks[4, 2:5, 50:55] = 7
    if planes:
        masks = np.stack([masks * (1 <= z < planes - 1) for z in range(planes)], axis=1).astype(np.uint16)
    tracker = UncertainTracker(OverlapTracker(max_gap=2))
    return tracker.track(None, masks, voxel_size=voxel_size, interval=30.0, progress=False)


def links_of(result: TrackingResult) -> Links:
    """The chosen links of a result, from its own table."""
    chosen = result.links[result.links["selected"] & result.links["mother_frame"].notna()]
    return {
        ((int(row.mother_frame), int(row.mother)), (int(row.frame), int(row.daughter))): float(
            row.probability
        )
        for row in chosen.itertuples()
    }


def links_of_table(cells: pd.DataFrame, edges: pd.DataFrame) -> Links:
    """The links of a file that was read back.

    Args:
        cells: One row a cell, by its number in the file: `frame`, `label`.
        edges: `mother` and `daughter` by these numbers, `probability`.
    """
    name = {
        number: (int(frame), int(label))
        for number, frame, label in zip(cells.index, cells["frame"], cells["label"], strict=True)
    }
    columns = (edges[column].tolist() for column in ("mother", "daughter", "probability"))
    return {(name[i], name[j]): float(p) for i, j, p in zip(*columns, strict=True)}
