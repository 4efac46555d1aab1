"""Movies into batches, for a `DataLoader`."""

from collections.abc import Mapping, Sequence
from typing import Any

from torchtrack_uq.errors import InputError


def collate_movies(items: Sequence[Any]) -> Any:
    """Make one batch of movies: `DataLoader(movies, batch_size=4, collate_fn=collate_movies)`.

    Whatever has a `batch` becomes one: `CandidateGraph`, `PerturbedScores`, `LinkTargets`, `ScoredMovie`. Tuples and
    mappings are batched place by place; all else, such as names, becomes a list.

    Args:
        items: What the data set returned for each movie, all of one kind.

    Raises:
        InputError: No item, entries that some lack, or as the `batch` of the items.

    >>> import numpy as np
    >>> from torchtrack_uq import CandidateGraph, Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], [-0.5])
    >>> collate_movies([(graph, "one"), (graph, "two")])
    (CandidateGraph(2 movies, 4 cells, 2 links, 4 frames, torch.float32 on cpu), ['one', 'two'])
    """
    if not items:
        raise InputError("there is no movie to batch; expected at least one")
    first = items[0]
    if callable(getattr(type(first), "batch", None)):
        return type(first).batch(items)
    if isinstance(first, Mapping):
        different = set().union(*items) ^ set(first).intersection(*items)
        if different:
            raise InputError(
                f"some movies lack {', '.join(map(str, sorted(different)))}; expected the same entries in all"
            )
        return {key: collate_movies([item[key] for item in items]) for key in first}
    if isinstance(first, tuple):
        columns = [collate_movies(column) for column in zip(*items, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else tuple(columns)
    return list(items)
