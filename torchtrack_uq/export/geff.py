"""Tracks as a geff file, the graph exchange file format that napari, motile and TrackMate tools read."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.result import TrackingResult


def write_geff(result: TrackingResult, path: Path) -> None:
    """Write the chosen links with what is known about them.

    Nodes have `t`, (`z`,) `y`, `x`, `label`, `track`, `confidence`, `entropy`, `p_appear`, `p_divide`,
    `p_disappear`; edges `score`, `probability` and `entropy`, all float32; nodes also `accepted` (bool) where the
    result has it. What cannot be known (such as the entropy in the first frame) is marked as missing. Format: geff 1, https://liveimagetrackingtools.org/geff.

    Args:
        result: What to write.
        path: Folder of the new zarr store.
    """
    from geff.core_io import write_arrays
    from geff_spec import Axis, GeffMetadata

    space = list("zyx"[-result.detections.ndim :])
    cells = result.cells.rename(columns={"frame": "t"})
    nodes = {
        name: _column(cells[name].to_numpy(), np.int64 if name in ("t", "label", "track") else np.float32)
        for name in cells.columns.drop("accepted", errors="ignore")
    }
    if result.acceptance is not None:
        nodes["accepted"] = {"values": result.accepted, "missing": result.detections.frame == 0}
    candidates, chosen = result.candidates, result.selected
    daughter = candidates.daughter.numpy()[chosen]
    edges = {
        "score": _column(candidates.score.numpy()[chosen]),
        "probability": _column(result.probabilities.link.numpy()[chosen]),
        "entropy": _column(result.probabilities.entropy.numpy()[daughter]),
    }
    axes = [
        Axis(name="t", type="time", unit="frame", min=0, max=result.detections.n_frames - 1),
        *(Axis(name=axis, type="space", unit="pixel") for axis in space),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*unit.*")  # a frame is no unit in geff's own list
        metadata = GeffMetadata(
            directed=True,
            axes=axes,
            node_props_metadata={},
            edge_props_metadata={},
            track_node_props={"tracklet": "track"},
        )
        write_arrays(
            path,
            node_ids=np.arange(len(cells), dtype=np.uint64),
            node_props=nodes,
            edge_ids=np.stack([candidates.mother.numpy()[chosen], daughter], axis=1).astype(np.uint64),
            edge_props=edges,
            metadata=metadata,
        )


def _column(values: NDArray[Any], dtype: type[np.generic] = np.float32) -> Any:
    unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)
    return {"values": values.astype(dtype), "missing": unknown if unknown.any() else None}
