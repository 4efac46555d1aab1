"""Tracks as a networkx graph, as Trackastra, motile and this package make them."""

from typing import Any

import networkx as nx
import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.tracks import TrackTable

_TIMES = ("time", "t", "frame")


def read_networkx_tracks(graph: "nx.Graph[Any]") -> TrackTable:
    """Read a directed graph of tracks: nodes with a time, and a label or a position.

    Args:
        graph: Edges from mother to daughter; nodes with `time` (or `t`, `frame`), `label` (or none), and `coords` (or
            (`z`,) `y`, `x`), as `trackastra.Trackastra.track` returns it and `TrackingResult.graph` is.

    Raises:
        InputError: An undirected graph, or a node without time and place.

    >>> graph = nx.DiGraph()
    >>> graph.add_node("a", time=0, label=7, coords=(5.0, 5.0))
    >>> graph.add_node("b", time=1, label=9, coords=(5.0, 6.0))
    >>> graph.add_edge("a", "b")
    >>> read_networkx_tracks(graph)
    TrackTable(graph: 2 spots in frames 0 to 1, 1 links, 0 divisions)
    """
    if not graph.is_directed():
        raise InputError("the graph is undirected; expected edges from mother to daughter (networkx.DiGraph)")
    nodes = [(node, dict(values)) for node, values in graph.nodes(data=True)]
    row = {node: i for i, (node, _) in enumerate(nodes)}
    first = nodes[0][1] if nodes else {}
    time = next((name for name in _TIMES if name in first), None)
    axes = [axis for axis in "zyx" if axis in first]
    has_label = "label" in first
    if time is None or not ("coords" in first or len(axes) > 1 or has_label):
        raise InputError(
            f"nodes of the graph have {', '.join(map(str, first)) or 'no attributes'}; expected time, and label or "
            "coords"
        )
    try:
        frame = np.array([float(values[time]) for _, values in nodes])
        label = [int(values["label"]) for _, values in nodes] if has_label else None
        coords: Any = None
        if "coords" in first:
            coords = np.array([np.asarray(values["coords"], dtype=np.float64) for _, values in nodes])
        elif len(axes) > 1:
            coords = np.array([[float(values[axis]) for axis in axes] for _, values in nodes])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"some node of the graph lacks what the first one has: {error!r}") from error
    whole: dict[str, Any] = {}
    if all(isinstance(node, int | np.integer) for node in row):
        whole["id"] = np.array(list(row), dtype=np.int64)
    return TrackTable(
        "graph",
        frame,
        coords,
        mother=np.array([row[a] for a, _ in graph.edges], dtype=np.int64),
        daughter=np.array([row[b] for _, b in graph.edges], dtype=np.int64),
        label=None if label is None else np.array(label, dtype=np.int64),
        **whole,
    )
