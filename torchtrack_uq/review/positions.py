"""Cells that are points, drawn where there are no pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from torchtrack_uq.movies.detections import Detections

_LOOKED_AT = 5
_CORNERS = 24
_OF_SPACING = 0.12
_ALONE = 10.0
_SPACINGS = 5.0


@dataclass(frozen=True)
class Window:
    """A piece of the space in which points lie, in their units.

    Attributes:
        top: Least y.
        left: Least x.
        size: Extent along both.
        plane: z in its middle; None in the plane.
    """

    top: float
    left: float
    size: float
    plane: float | None = None


def window_around(detections: Detections, cells: list[int]) -> Window:
    """A square piece that holds these cells with room around them; in space, the first one's plane.

    >>> window_around(Detections.from_points(np.array([0, 1]), np.array([[5.0, 5.0], [5.0, 9.0]])), [0, 1])
    Window(top=-20.0, left=-18.0, size=50.0, plane=None)
    """
    place = detections.coords[cells, -2:]
    low, high = place.min(axis=0), place.max(axis=0)
    spacing = typical_spacing(detections)
    size = max(_SPACINGS * spacing, float((high - low).max()) + 3 * spacing)
    top, left = ((low + high) / 2 - size / 2).tolist()
    plane = float(detections.coords[cells[0], 0]) if detections.ndim == 3 else None
    return Window(top, left, size, plane)


def typical_spacing(detections: Detections) -> float:
    """Median distance from a cell to the nearest of its frame, in pixels of x, from a few frames; 10 if all are alone.

    >>> typical_spacing(Detections.from_points(np.array([0, 0]), np.array([[0.0, 0.0], [3.0, 4.0]])))
    5.0
    """
    n = np.diff(detections.offsets)
    crowded = np.flatnonzero(n > 1)
    distances = []
    for t in crowded[np.linspace(0, len(crowded) - 1, min(_LOOKED_AT, len(crowded))).astype(int)].tolist():
        place = detections.isotropic_coords[detections.in_frame(t)]
        distances.append(np.asarray(cKDTree(place).query(place, k=2)[0])[:, 1])
    found = float(np.median(np.concatenate(distances))) if distances else 0.0
    return found if found > 0 else _ALONE


def circles(detections: Detections, t: int, box: Window) -> list[dict[str, Any]]:
    """Cells of frame `t` in a piece, as `outlines` gives those of masks: label and a circle around each, as (x, y).

    Of a movie in space, cells within half the piece's size of its plane. A circle's radius is `_OF_SPACING` of
    `typical_spacing`.

    Args:
        detections: N cells.
        t: Frame.
        box: Which piece.

    >>> cells = Detections.from_points(np.array([0, 0]), np.array([[1.0, 2.0], [90.0, 90.0]]))
    >>> [cell["label"] for cell in circles(cells, 0, Window(0, 0, 20))]
    [1]
    """
    here = detections.in_frame(t)
    place = detections.coords[here].astype(np.float64)
    radius = _OF_SPACING * typical_spacing(detections)
    low, high = np.array([box.top, box.left]) - radius, np.array([box.top, box.left]) + box.size + radius
    inside = ((place[:, -2:] >= low) & (place[:, -2:] <= high)).all(axis=1)
    if detections.ndim == 3 and box.plane is not None:
        inside &= np.abs(place[:, 0] - box.plane) * detections.aspect[0] <= box.size / 2
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    ring = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    digits = max(0, 3 - int(np.floor(np.log10(radius))))
    return [
        {"label": name, "paths": [np.round(ring + np.array([x, y]), digits).tolist()]}
        for name, (y, x) in zip(
            detections.name[here][inside].tolist(), place[inside, -2:].tolist(), strict=True
        )
    ]
