"""Which properties of a geff graph are probabilities, of what, and how they came about; and the graph of alternatives.

The names and their meaning are proposed in docs/geff_probabilities.md.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from torchtrack_uq.results.geff import write_geff
from torchtrack_uq.results.in_words import TrackedCells

VERSION = "0.1"
LEAST = 0.001
"""Candidate links below this probability are left out of `candidates.geff`, unless they were selected."""
_NODE_PROPS = {
    "appear": "p_appear",
    "disappear": "p_disappear",
    "divide": "p_divide",
    "missed_before": "p_missed",
    "false": "p_false",
    "merged": "p_merged",
    "split": "p_split",
}


def geff_extra(
    settings: Mapping[str, Any],
    cells: pd.DataFrame,
    *,
    least: float | None = None,
    other: Mapping[str, str] | None = None,
    masks: str | None = None,
) -> dict[str, Any]:
    """The `extra` metadata of a graph whose properties are probabilities.

    Args:
        settings: How they were made, see `settings_of`.
        cells: The nodes' properties.
        least: Edges below this probability are not in the graph; None if every edge that was chosen is.
        other: The graph that belongs to this one: {"alternatives": path} or {"tracks": path}, relative to this one.
        masks: Where the masks are whose pixels have the nodes' `track` as value, relative to this graph.
    """
    calibration = settings.get("calibration")
    return {
        "probabilities": {
            "version": VERSION,
            "edge_props": {"link": "probability"},
            "node_props": {role: name for role, name in _NODE_PROPS.items() if name in cells},
            "calibrated": calibration is not None,
            "calibration": calibration,
            "edges_at_least": least,
            **(other or {}),
        },
        "masks": None if masks is None else {"path": masks, "node_prop": "track"},
        "provenance": dict(settings),
    }


def write_candidates(
    path: str | os.PathLike[str], result: TrackedCells, settings: Mapping[str, Any], *, least: float = LEAST
) -> None:
    """Write all cells and the candidate links between them as a geff graph, so that alternatives travel with tracks.

    Nodes are those of `tracks.geff`, under the same numbers. Edges have `probability`, `score` and `selected`: the
    selected ones are the edges of `tracks.geff`. A daughter's probabilities and her `p_appear` sum to 1 but for the
    links that were left out.

    Args:
        path: Folder of the new zarr store.
        result: What was tracked.
        settings: How it was made, see `settings_of`.
        least: Leave out links below this probability that were not selected.

    Raises:
        InputError: geff is not installed.
    """
    graph, p = result.candidates, result.probabilities.link.numpy()
    keep = np.flatnonzero((p >= least) | result.selected)
    edges = pd.DataFrame(
        {
            "mother": graph.mother.numpy()[keep],
            "daughter": graph.daughter.numpy()[keep],
            "probability": p[keep],
            "score": graph.score.numpy()[keep],
            "selected": result.selected[keep],
        }
    )
    named = ("frame", "label", "track", "confidence", "entropy", "p_appear", "p_divide", "p_disappear")
    cells = result.cells
    kept = cells[[name for name in (*named, *"zyx") if name in cells]]
    extra = geff_extra(settings, kept, least=least, other={"tracks": "../tracks.geff"})
    write_geff(
        path,
        kept,
        edges,
        result.detections.naming.last(result.detections.n_frames) + 1,
        voxel_size=result.detections.voxel_size,
        interval=result.detections.naming.per_number(result.detections.interval),
        extra=extra,
        tracks=False,
    )
