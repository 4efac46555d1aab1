"""Tracks as tables that napari's track editors and Mastodon import."""

import numpy as np
import pandas as pd

from torchtrack_uq.results.in_words import DOUBTFUL_BELOW
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.results.tracklets import tracklets

_OURS = ("confidence", "entropy", "p_divide", "p_missed", "p_false")
"""Columns that funtracks does not take for others: it guesses by likeness, and `p_split` would be `circularity`."""


def napari_table(tracks: SavedTracks) -> pd.DataFrame:
    """The table that funtracks imports, and with it napari-track-edit (Motile Tracker).

    Format: funtracks `tracks_from_df`, https://funkelab.github.io/funtracks: one row a cell, `time`, (`z`,) `y`, `x`
    in pixels, `id`, `parent_id` (-1 for none), `seg_id`, the cell's label in the masks, `tracklet_id` (tracks that gaps
    do not end) and `lineage_id`.

    Args:
        tracks: What to write.

    Returns:
        With the columns of the format first, then `p_chosen` (probability of what was decided about the mother, empty
        in the first frame) and some columns of `cells.csv`.
    """
    cells = tracks.cells
    table = pd.DataFrame({"time": cells["frame"], **{axis: cells[axis] for axis in tracks.axes}})
    table["id"], table["parent_id"] = _numbers(tracks)
    table["seg_id"] = cells["label"]
    table["tracklet_id"] = tracklets(cells["frame"].to_numpy(), tracks.mother).path
    table["lineage_id"] = tracks.lineage + 1
    table["p_chosen"] = tracks.probability
    return table.assign(**{name: cells[name] for name in _OURS if name in cells})


def mastodon_table(tracks: SavedTracks) -> pd.DataFrame:
    """The table that Mastodon's CSV importer takes (Plugins > Imports > CSV Importer, in mastodon-pasteur).

    Format: https://mastodon.readthedocs.io, "CSV importer". Numbers may not be missing there, or a spot is skipped.

    Args:
        tracks: What to write.

    Returns:
        One row a cell, mothers before daughters: `id`, `parent_id` (-1 for none), `frame`, `x`, `y`, `z` (0 in 2D) and
        `radius` in micrometres where the size of voxels is known, else in pixels; `label`; `quality`, the probability
        of what was decided about the mother, 1 in the first frame, where nothing was; and `tag`: "doubtful" (below
        0.9), "sure" or "first frame".
    """
    cells, size = tracks.cells, tracks.voxel_size or {}
    first = np.isnan(tracks.probability)
    doubtful = np.where(tracks.probability < DOUBTFUL_BELOW, "doubtful", "sure")
    number, parent = _numbers(tracks)
    place = {axis: cells[axis] * size.get(axis, 1.0) if axis in cells else 0.0 for axis in "xyz"}
    return pd.DataFrame(
        {
            "id": number,
            "parent_id": parent,
            "frame": cells["frame"],
            **place,
            "radius": tracks.radius * size.get("x", 1.0),
            "label": cells["label"],
            "quality": np.where(first, 1.0, tracks.probability),
            "tag": np.where(first, "first frame", doubtful),
        }
    )


def _numbers(tracks: SavedTracks) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the cells from 1 on, and of their mothers, -1 for none."""
    mother = tracks.mother
    return np.arange(1, len(mother) + 1), np.where(mother >= 0, mother + 1, -1)
