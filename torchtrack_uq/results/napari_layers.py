"""A result as layers of napari, which need no napari to be made."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from torchtrack_uq.movies.frames import FrameSource
from torchtrack_uq.movies.relabelled import RelabelledFrames
from torchtrack_uq.results.tracking_result import TrackingResult

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
"""Data, keyword arguments and type of a layer: `viewer.add_layer(napari.layers.Layer.create(*layer))`."""
_POINT = 10.0
"""Diameter of a point, in pixels."""
_SHOWN = (
    "probability",
    "confidence",
    "entropy",
    "p_appear",
    "p_divide",
    "p_disappear",
    "p_missed",
    "p_false",
)


def to_napari(result: TrackingResult, n_doubts: int = 100) -> list[LayerData]:
    """Image, labels, tracks and doubts as layer data tuples, the form in which napari's plugins hand over layers.

    Pixels are read when they are looked at where dask is installed, else all at once. Axes are (t, (z,) y, x), scaled
    to micrometres where the size of voxels is known.

    Args:
        result: What was tracked.
        n_doubts: How many cells the layer of doubts shows, the most doubtful first.

    Returns:
        An `image` layer (if there are images); a `labels` layer whose values are the tracks, or for points a `points`
        layer of all of them in their order; a `tracks` layer whose
        `graph` has the mother track of each daughter track and whose `properties` has what is known of each cell
        (`probability` of the decision about its mother, NaN in the first frame; `doubt`, by which it is coloured);
        and a `points` layer of the most doubtful cells with the `reason` of each. A gap does not end a track here.

    >>> from torchtrack_uq import OverlapTracker, UncertainTracker
    >>> masks = np.zeros((3, 32, 32), np.uint16)
    >>> masks[:, 8:14, 8:14] = 5
    >>> layers = to_napari(UncertainTracker(OverlapTracker()).track(None, masks, progress=False))
    >>> [(kind, options["name"], np.asarray(data).shape) for data, options, kind in layers]
    [('labels', 'cells by track', (3, 32, 32)), ('tracks', 'tracks', (3, 4)), ('points', 'doubts', (2, 3))]
    """
    size = result.detections.voxel_size
    scale: dict[str, Any] = {} if size is None else {"scale": (1.0, *size)}
    layers: list[LayerData] = []
    if result.movie is not None:
        if result.movie.images is not None:
            layers.append((_frames(result.movie.images), {"name": "images", **scale}, "image"))
        cells, path = result.detections, result.tracklets.path  # tracks that gaps do not end
        labels = RelabelledFrames.of_cells(result.movie.masks, cells, cells.label, path, np.int32)
        layers.append((_frames(labels), {"name": "cells by track", "opacity": 0.4, **scale}, "labels"))
    else:
        layers.append(_points(result, scale))
    return [*layers, _tracks(result, scale), _doubts(result, n_doubts, scale)]


def _frames(source: FrameSource) -> Any:
    """(T, (Z,) Y, X), lazily where dask is installed."""
    if find_spec("dask") is None:
        return np.stack([source.read(t) for t in range(source.n_frames)])

    def frame(block_info: Any = None) -> Any:
        return source.read(block_info[None]["chunk-location"][0])[None]

    chunks = ((1,) * source.n_frames, *((n,) for n in source.frame_shape))
    nothing = np.empty((0,) * len(chunks), source.dtype)
    dask = import_module("dask.array")
    return dask.map_blocks(frame, chunks=chunks, dtype=source.dtype, meta=nothing)


def _tracks(result: TrackingResult, scale: dict[str, Any]) -> LayerData:
    cells, path, mother = result.cells, result.tracklets.path, result.mother
    frame, coords = result.detections.frame, result.detections.coords
    order = np.lexsort((frame, path))
    data = np.column_stack([path, frame, coords])[order].astype(float)
    crosses = (mother >= 0) & (path[mother] != path)  # the first cell of a daughter's track
    graph = {int(path[i]): [int(path[mother[i]])] for i in np.flatnonzero(crosses)}
    known = cells.assign(probability=result.decision_probability)
    properties = {name: known[name].to_numpy(float)[order] for name in _SHOWN if name in known}
    properties["doubt"] = np.nan_to_num(result.doubts.doubt)[order]
    properties["label"], properties["track"] = cells["label"].to_numpy()[order], path[order]
    options = {"name": "tracks", "graph": graph, "properties": properties, "color_by": "doubt", **scale}
    return data, options, "tracks"


def _points(result: TrackingResult, scale: dict[str, Any]) -> LayerData:
    cells = result.detections
    options: dict[str, Any] = {
        "name": "cells",
        "features": result.cells[["label", "track"]],
        "face_color": "transparent",
        "border_color": "gray",
        "size": _POINT,
        **scale,
    }
    return np.column_stack([cells.frame, cells.coords]).astype(float), options, "points"


def _doubts(result: TrackingResult, n: int, scale: dict[str, Any]) -> LayerData:
    listed = result.review(n)
    features = listed[["label", "track", "doubt", "reason", "probability"]]
    options: dict[str, Any] = {
        "name": "doubts",
        "features": features,
        "face_color": "transparent",
        "border_color": "red",
        "border_width": 0.05,
        "size": 30 if result.detections.voxel_size is None else 30 * result.detections.voxel_size[-1],
        **scale,
    }
    cell = listed["cell"].to_numpy()
    data = np.column_stack([result.detections.frame[cell], result.detections.coords[cell]]).astype(float)
    return data, options, "points"
