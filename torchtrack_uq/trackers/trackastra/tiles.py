"""Cells near each other, in tiles: what is local is computed tile by tile, in memory that the field does not change."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from torchtrack_uq.trackers.trackastra.places import distances

_MOST_PAIRS = 8_000_000
"""Of queries and keys in a tile: 32 MB in single precision for each thing that is known of them."""


@dataclass(frozen=True)
class Tile:
    """Some points, and all that are near any of them.

    Attributes:
        queries: (Q,) int64 indices.
        keys: (K,) int64 indices of all points within the reach of a query, and of some others.
    """

    queries: Tensor
    keys: Tensor


def tiles_of(queries: Tensor, keys: Tensor, reach: float, most_pairs: int = _MOST_PAIRS) -> list[Tile]:
    """Tiles that hold every query once.

    Args:
        queries: (Q, D) coordinates.
        keys: (K, D) coordinates.
        reach: Distance up to which keys belong to a query.
        most_pairs: Most queries times keys of a tile of more than one query.

    Returns:
        Tiles with edges of at most `reach` along every axis; indices ascend within a tile.

    >>> points = torch.tensor([[0.0], [3.0], [9.0]])
    >>> [(tile.queries.tolist(), tile.keys.tolist()) for tile in tiles_of(points, points, 4.0)]
    [([0, 1], [0, 1]), ([2], [2])]
    """
    if not len(queries):
        return []
    members = {name: box for box, name in _boxes(queries, reach)}
    neighbours = {name: box for box, name in _boxes(keys, reach)}
    steps = list(product((-1, 0, 1), repeat=queries.shape[1]))
    none = torch.zeros(0, dtype=torch.int64, device=queries.device)
    tiles: list[Tile] = []
    for name, inside in members.items():
        near = [neighbours.get(tuple(a + b for a, b in zip(name, step, strict=True)), none) for step in steps]
        candidates = torch.cat(near).sort().values
        low, high = queries[inside].amin(dim=0) - reach, queries[inside].amax(dim=0) + reach
        place = keys[candidates]
        candidates = candidates[((place >= low) & (place <= high)).all(dim=1)]
        rows = max(most_pairs // max(len(candidates), 1), 1)
        tiles += [Tile(part, candidates) for part in torch.split(inside, rows)]
    return tiles


def near_pairs(queries: Tensor, keys: Tensor, reach: float) -> Iterator[tuple[Tile, Tensor]]:
    """Which keys of each tile are within `reach` of which query, that is not farther.

    Yields:
        A tile and (K, Q) bool.
    """
    for tile in tiles_of(queries, keys, reach):
        yield tile, distances(keys[tile.keys], queries[tile.queries]) <= reach


def _boxes(points: Tensor, edge: float) -> list[tuple[Tensor, tuple[int, ...]]]:
    """Indices of the points in each box of a grid, with the box's place in it."""
    if not len(points):
        return []
    place = torch.floor(points.detach() / edge).long()
    name, of = torch.unique(place, dim=0, return_inverse=True)
    order = torch.argsort(of, stable=True)
    counts = torch.bincount(of, minlength=len(name))
    parts = torch.split(order, counts.tolist())
    return [(part, tuple(where)) for part, where in zip(parts, name.tolist(), strict=True)]
