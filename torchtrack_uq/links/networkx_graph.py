"""Candidate links as a networkx graph, and back."""

from typing import Any

import networkx as nx
import numpy as np
import torch

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.batches import MovieFrames
from torchtrack_uq.movies.detections import Detections


def to_networkx(candidates: MovieFrames) -> "nx.DiGraph[int]":
    """See `CandidateGraph.to_networkx`."""
    cpu = candidates.to("cpu")
    graph: nx.DiGraph[int] = nx.DiGraph(n_frames=cpu.n_frames, starts=cpu.starts, max_gap=cpu.max_gap)
    names = ("frame", "label", "appear", "disappear", "divide")
    columns = [getattr(cpu, name).detach().tolist() for name in names]
    for i, (coords, *values) in enumerate(zip(vars(cpu)["coords"].tolist(), *columns, strict=True)):
        graph.add_node(i, coords=tuple(coords), **dict(zip(names, values, strict=True)))
    scores: list[float] = vars(cpu)["score"].detach().tolist()
    for i, j, score in zip(cpu.mother.tolist(), cpu.daughter.tolist(), scores, strict=True):
        graph.add_edge(i, j, score=score)
    return graph


def read_networkx(
    graph: "nx.DiGraph[Any]", dtype: torch.dtype
) -> tuple[Detections, dict[str, Any], tuple[int, ...]]:
    """Cells, arguments of `CandidateGraph.from_links`, and the first frame of each movie.

    Raises:
        InputError: A node or an edge lacks an attribute.
    """
    nodes = sorted(graph.nodes(data=True), key=lambda item: (item[1].get("frame"), item[1].get("label")))
    for node, data in nodes:
        for name in ("frame", "label", "coords"):
            if name not in data:
                raise InputError(f"node {node!r} has no attribute {name!r}; nodes need frame, label, coords")
    missing = next((edge for edge in graph.edges(data=True) if "score" not in edge[2]), None)
    if missing is not None:
        raise InputError(f"the edge from {missing[0]!r} to {missing[1]!r} has no attribute 'score'")
    index = {node: i for i, (node, _) in enumerate(nodes)}
    frames = np.array([data["frame"] for _, data in nodes], dtype=np.int64)
    cells = Detections(
        frame=frames,
        label=np.array([data["label"] for _, data in nodes], dtype=np.int64),
        coords=np.array([data["coords"] for _, data in nodes], dtype=np.float64).reshape(len(nodes), -1),
        n_frames=graph.graph.get("n_frames", int(frames.max(initial=-1)) + 1),
    )
    events = {
        name: np.array([data.get(name, 0.0) for _, data in nodes])
        for name in ("appear", "disappear", "divide")
    }
    links = [(index[i], index[j], data["score"]) for i, j, data in graph.edges(data=True)]
    arguments = {
        "mother": [i for i, _, _ in links],
        "daughter": [j for _, j, _ in links],
        "score": torch.tensor([score for _, _, score in links], dtype=dtype),
        "max_gap": graph.graph.get("max_gap", 1),
    }
    return cells, arguments | events, tuple(graph.graph.get("starts", (0,)))
