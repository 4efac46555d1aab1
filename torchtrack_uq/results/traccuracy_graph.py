"""A result as traccuracy takes it."""

from typing import Any

import numpy as np

from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.utils.optional import import_optional


def to_traccuracy(result: TrackingResult, name: str | None = None, *, segmentation: bool = True) -> Any:
    """A `traccuracy.TrackingGraph`, to be matched with a true one and scored.

    Format: https://traccuracy.readthedocs.io. traccuracy also loads `tracks.geff` (`load_geff_data`), without masks.

    Args:
        result: What was tracked.
        name: What traccuracy calls it.
        segmentation: Whether to take the masks along, all frames in memory; without them only matchers of points work.

    Returns:
        The graph: nodes are cell indices with the columns of `cells`, edges have `score`, `probability`, `entropy`.

    Raises:
        InputError: traccuracy is not installed.
    """
    traccuracy = import_optional("traccuracy", "readers", "a graph of traccuracy")
    movie = result.movie
    masks = None
    if movie is not None and segmentation:
        masks = np.stack([movie.read_mask(t) for t in range(movie.n_frames)])
    return traccuracy.TrackingGraph(
        graph=result.graph.copy(),
        segmentation=masks,
        label_key=None if masks is None else "label",
        frame_key="frame",
        location_keys=tuple("zyx"[-result.detections.ndim :]),
        name=name or result.tracker,
    )
