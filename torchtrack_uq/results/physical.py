"""Places in micrometres and times in seconds, for those who read tables."""

from typing import Any

from torchtrack_uq.movies.detections import Detections


def physical_columns(detections: Detections) -> dict[str, Any]:
    """Columns of `cells.csv` that need to know how large a voxel is, or how long a frame.

    Returns:
        (`z_um`,) `y_um`, `x_um`: (N,) float64 centroids in micrometres from the centre of the first voxel, where the
        voxel size is known; and `time_s`: (N,) float64 seconds from the first frame, where the interval is.

    >>> import numpy as np
    >>> cells = Detections.from_points(np.array([0, 1]), np.ones((2, 2)), voxel_size=(0.5, 0.25), interval=90.0)
    >>> {name: values.tolist() for name, values in physical_columns(cells).items()}
    {'y_um': [0.5, 0.5], 'x_um': [0.25, 0.25], 'time_s': [0.0, 90.0]}
    """
    columns: dict[str, Any] = {}
    if detections.voxel_size is not None:
        axes = "zyx"[-detections.ndim :]
        for axis, edge, values in zip(axes, detections.voxel_size, detections.coords.T, strict=True):
            columns[f"{axis}_um"] = values.astype(float) * edge
    if detections.interval is not None:
        columns["time_s"] = detections.frame * detections.interval
    return columns
