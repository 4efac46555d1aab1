"""Which piece of a frame is shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.movies.detections import Detections

_SAMPLE = 50


@dataclass(frozen=True)
class Box:
    """A piece of a frame, in pixels; it may reach over the border.

    Attributes:
        top: First row.
        left: First column.
        size: Rows and columns.
        plane: Plane of a stack; None for the brightest of each pixel.
    """

    top: int
    left: int
    size: int
    plane: int | None = None

    def cut(self, frame: NDArray[Any]) -> NDArray[Any]:
        """(size, size) piece of a (Y, X) frame, 0 beyond the border."""
        piece = np.zeros((self.size, self.size), frame.dtype)
        top, left = max(self.top, 0), max(self.left, 0)
        found = frame[top : max(self.top + self.size, 0), left : max(self.left + self.size, 0)]
        at = (top - self.top, left - self.left)
        piece[at[0] : at[0] + found.shape[0], at[1] : at[1] + found.shape[1]] = found
        return piece

    def flat(self, frame: NDArray[Any]) -> NDArray[Any]:
        """(Y, X) of a frame: itself, a plane of a stack, or its largest values along z."""
        if frame.ndim == 2:
            return frame
        if self.plane is None:
            return np.asarray(frame.max(axis=0))
        return np.asarray(frame[min(max(self.plane, 0), len(frame) - 1)])


def box_around(detections: Detections, cells: list[int], *, least: int = 48, diameters: float = 5.0) -> Box:
    """A square piece that holds these cells with room around them; of a stack the plane of the first one.

    It is moved inside the field where that is known and large enough.
    """
    place = detections.coords[cells, -2:]
    low, high = place.min(axis=0), place.max(axis=0)
    diameter = detections.features.get("equivalent_diameter_area")
    typical = float(np.median(diameter)) if diameter is not None and len(diameter) else least / diameters
    size = int(max(least, diameters * typical, (high - low).max() + 3 * typical))
    centre = (low + high) / 2
    plane = round(float(detections.coords[cells[0], 0])) if detections.ndim == 3 else None
    corner = [int(middle - size / 2) for middle in centre]
    for axis, length in enumerate(detections.field_shape[-2:] if detections.field_shape is not None else ()):
        if size <= length:
            corner[axis] = min(max(corner[axis], 0), int(length) - size)
    return Box(corner[0], corner[1], size, plane)


def spacing(detections: Detections) -> float:
    """Median distance to the nearest other cell of the frame, over at most `_SAMPLE` frames; 0 where there is none."""
    frames = np.unique(np.linspace(0, detections.n_frames - 1, _SAMPLE).astype(np.int64))
    found = [np.zeros(0)]
    for t in frames:
        points = detections.isotropic_coords[detections.in_frame(int(t))]
        if len(points) > 1:
            found.append(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1])
    apart = np.concatenate(found)
    return float(np.median(apart)) if len(apart) else 0.0
