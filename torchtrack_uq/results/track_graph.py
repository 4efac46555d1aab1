"""Tracks as a networkx graph."""

import networkx as nx
import pandas as pd


def track_graph(cells: pd.DataFrame, edges: pd.DataFrame) -> "nx.DiGraph[int]":
    """A node a cell, with the columns of `cells`; an edge a chosen link, with those of `edges`.

    Args:
        cells: A row a cell; what is unknown is NaN, or None for what is no number.
        edges: A row a link, `mother` and `daughter` first, which are rows of `cells`.

    >>> cells = pd.DataFrame({"frame": [0, 1], "label": [3, 3]})
    >>> edges = pd.DataFrame({"mother": [0], "daughter": [1], "probability": [0.9]})
    >>> list(track_graph(cells, edges).edges(data=True))
    [(0, 1, {'probability': 0.9})]
    """
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(
        (i, {str(name): None if value is pd.NA else value for name, value in cell.items()})
        for i, cell in enumerate(cells.to_dict("records"))
    )
    names = [str(name) for name in edges.columns[2:]]
    for i, j, *known in edges.itertuples(index=False):
        graph.add_edge(int(i), int(j), **dict(zip(names, known, strict=True)))
    return graph
