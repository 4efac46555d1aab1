"""Connected pieces of a label mask: how many every label is in, and how large they are."""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Pieces(NamedTuple):
    """The P connected pieces of a mask, sorted by label.

    Attributes:
        label: (P,) int64, whose pieces they are.
        size: (P,) int64, pixels of each.
    """

    label: NDArray[np.int64]
    size: NDArray[np.int64]


def connected_pieces(mask: NDArray[np.integer]) -> Pieces:
    """Pieces of one label each whose pixels touch, over corners too; two labels that touch are two pieces.

    Runs of a label along the last axis are the nodes of a graph, and runs that touch its edges (He et al., A run-based
    two-scan labeling algorithm, IEEE Trans. Image Processing 17, 2008), so that large cells cost no more than small
    ones.

    Args:
        mask: (Y, X) or (Z, Y, X) labels, 0 for background.

    >>> connected_pieces(np.array([[7, 7, 0, 7], [0, 0, 3, 0]]))
    Pieces(label=array([3, 7, 7]), size=array([1, 2, 1]))
    """
    if not mask.size:
        return Pieces(np.zeros(0, np.int64), np.zeros(0, np.int64))
    begins = np.ones(mask.shape, dtype=np.bool_)
    begins[..., 1:] = mask[..., 1:] != mask[..., :-1]
    run = (np.cumsum(begins.ravel(), dtype=np.int64) - 1).reshape(mask.shape)
    start = np.flatnonzero(begins.ravel())
    of_run, length = mask.ravel()[start].astype(np.int64), np.diff(start, append=mask.size)
    pairs = [_touching(mask, run, step) for step in product((-1, 0, 1), repeat=mask.ndim) if _forward(step)]
    one, other = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
    graph = coo_array((np.ones(len(one), dtype=np.bool_), (one, other)), shape=(len(start), len(start)))
    n, piece = connected_components(graph, directed=False)
    label = np.zeros(n, np.int64)
    label[piece] = of_run
    size = np.bincount(piece, weights=length, minlength=n).astype(np.int64)
    order = np.flatnonzero(label)
    order = order[np.argsort(label[order], kind="stable")]
    return Pieces(label[order], size[order])


def _forward(step: tuple[int, ...]) -> bool:
    """Whether a step leads to another line, each of a pair of opposite steps once."""
    return step[:-1] > (0,) * (len(step) - 1)


def _touching(mask: NDArray[np.integer], run: NDArray[np.int64], step: tuple[int, ...]) -> NDArray[np.int64]:
    """(2, E) pairs of runs with the same label that touch along a step."""
    here = tuple(slice(max(-d, 0), size - max(d, 0)) for d, size in zip(step, mask.shape, strict=True))
    there = tuple(slice(max(d, 0), size - max(-d, 0)) for d, size in zip(step, mask.shape, strict=True))
    a, b = mask[here], mask[there]
    same = np.flatnonzero(((a == b) & (a != 0)).ravel())
    pair = np.stack([run[here].ravel()[same], run[there].ravel()[same]])
    new = np.ones(len(same), dtype=np.bool_)  # two runs touch in many pixels in a row
    new[1:] = (np.diff(pair) != 0).any(axis=0)
    return pair[:, new]
