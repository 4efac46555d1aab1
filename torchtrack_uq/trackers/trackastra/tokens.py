"""Fit a movie's detections to what a Trackastra model was trained on."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import FEATURES, Detections


def as_model_sees_it(detections: Detections, coord_dim: int, feat_dim: int) -> Detections:
    """Detections in the dimensions of a model; a 2D movie becomes one plane for a 3D model.

    Args:
        detections: Cells in 2 or 3 dimensions.
        coord_dim: Spatial dimensions of the model, 2 or 3.
        feat_dim: Number of features of the model; 0 for a model that looks at positions only.

    Raises:
        InputError: The movie is 3D and the model 2D, or the detections lack the model's features.
    """
    if detections.ndim > coord_dim:
        raise InputError(
            f"the movie is {detections.ndim}D but the model {coord_dim}D; use a model for 3D, such as ctc"
        )
    if feat_dim:
        missing = [name for name in FEATURES if name not in detections.features]
        if missing:
            raise InputError(
                f"the model looks at cell features, but these detections lack {', '.join(missing)}; "
                "measure them from masks with Detections.from_movie"
            )
    if detections.ndim < coord_dim:
        detections = _as_one_plane(detections)
    if feat_dim:
        detections = replace(detections, features={name: detections.features[name] for name in FEATURES})
        measured = sum(values.shape[1] for values in detections.features.values())
        if measured != feat_dim:
            raise InputError(
                f"the model expects {feat_dim} features a cell but {measured} are measured; "
                "expected a model trained with features 'wrfeat'"
            )
    return detections


def every_frame(detections: Detections, step: int, first: int) -> tuple[NDArray[np.int64], Detections]:
    """Every `step`-th frame from frame `first` on, as a movie of its own.

    Returns:
        (n,) int64, which cells stand in these frames; and the detections of these frames.

    >>> cells = Detections.from_points(np.arange(4), np.zeros((4, 2)))
    >>> index, part = every_frame(cells, 2, 1)
    >>> index, part.frame, part.n_frames
    (array([1, 3]), array([0, 1]), 2)
    """
    index = np.flatnonzero((detections.frame >= first) & ((detections.frame - first) % step == 0))
    part = Detections(
        frame=(detections.frame[index] - first) // step,
        label=detections.label[index],
        coords=detections.coords[index],
        n_frames=len(range(first, detections.n_frames, step)),
        features={name: column[index] for name, column in detections.features.items()},
        has_images=detections.has_images,
        stride=detections.stride * step,
    )
    return index.astype(np.int64), part


def _as_one_plane(detections: Detections) -> Detections:
    """The same cells as regions of a (1, Y, X) volume, as Trackastra's own 3D models see 2D movies."""
    features = dict(detections.features)
    n = len(detections)
    if "equivalent_diameter_area" in features:
        area = math.pi / 4 * features["equivalent_diameter_area"].astype(np.float64) ** 2
        features["equivalent_diameter_area"] = ((6 * area / math.pi) ** (1 / 3)).astype(np.float32)
    if "inertia_tensor" in features:
        flat = features["inertia_tensor"].reshape(n, 2, 2)
        solid = np.zeros((n, 3, 3), np.float32)
        solid[:, 1:, 1:] = flat
        solid[:, 0, 0] = np.trace(flat, axis1=1, axis2=2)
        features["inertia_tensor"] = solid.reshape(n, 9)
    coords = np.concatenate([np.zeros((n, 1), np.float32), detections.coords], axis=1)
    field = detections.field_shape
    return replace(
        detections, coords=coords, features=features, field_shape=None if field is None else (1, *field)
    )
