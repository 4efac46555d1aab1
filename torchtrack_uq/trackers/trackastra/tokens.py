"""Fit a movie's detections to what a Trackastra model was trained on."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import FEATURES, Detections
from torchtrack_uq.movies.scale import is_isotropic
from torchtrack_uq.trackers.trackastra.view import ModelView


def as_model_sees_it(
    detections: Detections,
    coord_dim: int,
    feat_dim: int,
    view: ModelView | None = None,
) -> Detections:
    """Detections in the dimensions of a model; a 2D movie becomes one plane for a 3D model.

    Where voxels are no cubes, coordinates and features are in voxels again, as Trackastra gives them to its models: its
    `wrfeat` calls skimage without `spacing`, in training and in use.

    Args:
        detections: Cells in 2 or 3 dimensions.
        coord_dim: Spatial dimensions of the model, 2 or 3.
        feat_dim: Number of features of the model; 0 for a model that looks at positions only.
        view: How the model sees movies; by default as they are measured, in voxels.

    Raises:
        InputError: The movie is 3D and the model 2D, or the detections lack the model's features.
    """
    if detections.ndim > coord_dim:
        raise InputError(
            f"the movie is {detections.ndim}D but the model {coord_dim}D; use a model for 3D (--model small_3d, which "
            "comes with the package, or ctc, a published one that is downloaded once), or a tracker that works in 3D "
            "as it is (--tracker distance or overlap, or activity where there are images)"
        )
    detections = seen_by(view or ModelView(), detections)
    if feat_dim:
        missing = [name for name in FEATURES if name not in detections.features]
        if missing:
            raise InputError(
                f"the model looks at cell features, but these detections lack {', '.join(missing)}; measure them from "
                "masks with Detections.from_movie, or use a model that takes points, such as small_3d for volumes, or "
                "the tracker distance (points whose z is the same everywhere are 2D)"
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


def seen_by(view: ModelView, detections: Detections) -> Detections:
    """A movie's cells in the size and with the features that a model sees."""
    if view.usual is not None:
        detections = view.usual.scaled(detections)
    elif not is_isotropic(detections.voxel_size):
        detections = in_voxels(detections)
    if view.takes_points and not any(name in detections.features for name in FEATURES):
        n, d = len(detections), detections.ndim
        widths = dict.fromkeys(FEATURES, 1) | {"inertia_tensor": d * d}
        features = {name: np.zeros((n, widths[name]), np.float32) for name in FEATURES}
        detections = replace(detections, features=features)
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
        field_shape=detections.field_shape,
        voxel_size=detections.voxel_size,
        interval=None if detections.interval is None else detections.interval * step,
    )
    return index.astype(np.int64), part


def in_voxels(detections: Detections) -> Detections:
    """The same cells measured as if voxels were cubes, whatever they are.

    >>> voxel = Detections.from_points(np.zeros(1, int), np.ones((1, 3)), voxel_size=(2.0, 1.0, 1.0))
    >>> voxel.isotropic_coords, in_voxels(voxel).isotropic_coords
    (array([[2., 1., 1.]]), array([[1., 1., 1.]]))
    """
    features, edges, d = dict(detections.features), detections.aspect, detections.ndim
    if "equivalent_diameter_area" in features:
        diameter = features["equivalent_diameter_area"] / np.prod(edges) ** (1 / d)
        features["equivalent_diameter_area"] = diameter.astype(np.float32)
    if "inertia_tensor" in features:
        inertia = features["inertia_tensor"].astype(np.float64).reshape(-1, d, d)
        trace = np.trace(inertia, axis1=1, axis2=2)[:, None, None]
        covariance = (trace / (d - 1) * np.eye(d) - inertia) / np.outer(edges, edges)
        trace = np.trace(covariance, axis1=1, axis2=2)[:, None, None]
        inertia = trace * np.eye(d) - covariance
        features["inertia_tensor"] = inertia.reshape(-1, d * d).astype(np.float32)
    return replace(detections, features=features, voxel_size=None)


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
    coords = np.concatenate([np.zeros((n, 1)), detections.coords], axis=1)
    field = detections.field_shape
    return replace(
        detections,
        coords=coords,
        features=features,
        field_shape=None if field is None else (1, *field),
        voxel_size=None,
    )
