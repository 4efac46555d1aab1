"""Tracks as a geff file, the graph exchange file format that napari, funtracks and traccuracy read."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from torchtrack_uq.utils.optional import import_optional

_WHOLE_NUMBERS = ("t", "label", "track", "tracklet")


def write_geff(
    path: str | os.PathLike[str],
    cells: pd.DataFrame,
    links: pd.DataFrame,
    n_frames: int | None = None,
    *,
    voxel_size: Sequence[float] | None = None,
    interval: float | None = None,
    extra: Mapping[str, Any] | None = None,
    tracks: bool = True,
) -> None:
    """Write cells and the links between them, with all that is known about either.

    Format: geff 1, https://liveimagetrackingtools.org/geff. What is NaN (such as the entropy in the first frame) is
    marked as missing.

    Args:
        path: Folder of the new zarr store.
        cells: One row a node, as `TrackingResult.cells`: `frame`, `label`, `track`, (`z`,) `y`, `x` in pixels, and any
            columns of floats (written as float32) or of nullable booleans. `frame` becomes the axis `t`. With links
            over gaps also `tracklet`, tracks that gaps do not end: geff's tracklets go on as long as edges do.
        links: One row an edge: `mother` and `daughter`, positions of rows of `cells`, and any columns of floats. An
            edge may span several frames.
        n_frames: Number of frames, for the axis; by default that of the last cell.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x): the `scale` of the axes, whose values stay
            pixels.
        interval: Seconds between frames, likewise.
        extra: Metadata beside those of the format, plain values by name; see `provenance`.
        tracks: Whether the edges are tracks, so that `track` numbers their tracklets; False for candidate links.

    Raises:
        InputError: geff is not installed.

    >>> import tempfile
    >>> cells = pd.DataFrame({"frame": [0, 1], "label": [1, 1], "track": [1, 1], "y": [4.0, 5.0], "x": [4.0, 4.0]})
    >>> links = pd.DataFrame({"mother": [0], "daughter": [1], "probability": [0.9]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_geff(Path(folder) / "tracks.geff", cells, links)
    """
    spec = import_optional("geff_spec", "files", "writing a geff file")
    core = import_optional("geff.core_io", "files", "writing a geff file")
    last = int(cells["frame"].max()) if n_frames is None else n_frames - 1
    space = [axis for axis in "zyx" if axis in cells]
    edges: Sequence[float | None] = [None] * len(space) if voxel_size is None else voxel_size
    nodes = cells.rename(columns={"frame": "t"})
    axes = [
        spec.Axis(name="t", type="time", unit="frame", min=0, max=last, **_scale(interval, "second")),
        *(
            spec.Axis(name=axis, type="space", unit="pixel", **_scale(edge, "micrometer"))
            for axis, edge in zip(space, edges, strict=True)
        ),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*unit.*")  # a frame is no unit in geff's own list
        metadata = spec.GeffMetadata(
            directed=True,
            axes=axes,
            node_props_metadata={},
            edge_props_metadata={},
            track_node_props={"tracklet": "tracklet" if "tracklet" in cells else "track"} if tracks else None,
            extra=dict(extra or {}),
        )
        core.write_arrays(
            Path(path),
            node_ids=np.arange(len(cells), dtype=np.uint64),
            node_props={str(name): _column(nodes[name], str(name)) for name in nodes},
            edge_ids=links[["mother", "daughter"]].to_numpy().astype(np.uint64),
            edge_props={
                str(name): _column(links[name], str(name))
                for name in links.columns.drop(["mother", "daughter"])
            },
            metadata=metadata,
        )
        written = spec.GeffMetadata.read(Path(path))  # geff puts the first and last cell's frames there
        written.axes[0].min, written.axes[0].max = 0, last
        written.write(Path(path))


def _scale(factor: float | None, unit: str) -> dict[str, Any]:
    return {} if factor is None else {"scale": float(factor), "scaled_unit": unit}


def _column(values: "pd.Series[Any]", name: str) -> Any:
    unknown = values.isna().to_numpy()
    missing = unknown if unknown.any() else None
    if values.dtype in ("bool", "boolean"):
        return {"values": values.fillna(False).to_numpy(np.bool_), "missing": unknown}
    if name == "label" and not pd.api.types.is_numeric_dtype(values):  # ids of points may be text
        return {"values": values.to_numpy(np.str_), "missing": None}
    dtype = np.int64 if name in _WHOLE_NUMBERS else np.float32
    return {"values": values.to_numpy().astype(dtype), "missing": missing}
