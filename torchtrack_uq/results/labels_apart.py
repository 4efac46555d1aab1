"""Labels of a picture that cover neither each other nor what they belong to."""

from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

_FREE = 1e-9  # pixels squared, of rounding


def move_apart(
    axes: Axes, labels: list[Annotation], marks: list[tuple[float, float]], mark_radius: float = 5.0
) -> None:
    """Move labels until none covers another or a mark that is not its own; the last one has the first choice of place.

    A label stays at its ring, on whatever side is free, or goes outwards along its link.

    Args:
        axes: With its final limits.
        labels: One for each mark but the last.
        marks: Rings of the mothers, then the dot of their daughter, in data coordinates.
        mark_radius: Of a mark, in points.
    """
    axes.apply_aspect()
    canvas: Any = axes.figure.canvas
    renderer = canvas.get_renderer()
    places = axes.transData.transform(marks)
    point = renderer.points_to_pixels(1.0)
    inside = axes.get_window_extent(renderer)
    taken = [
        Bbox.from_extents(*(place - mark_radius * point), *(place + mark_radius * point)) for place in places
    ]
    for k in reversed(range(len(labels))):
        size, frame = labels[k].get_window_extent(renderer), labels[k].get_bbox_patch()
        margin = 0.0 if frame is None else max(frame.get_window_extent(renderer).height - size.height, 0) / 2
        outwards = places[k] - places[-1]
        length = float(np.hypot(*outwards))
        step = outwards / length if length > 0 else np.array([0.0, 1.0])
        best: tuple[float, NDArray[np.float64], Bbox] | None = None
        right, up = 7.0, 5.0
        left, down = -right - size.width / point, -up - size.height / point
        corners = ((right, up), (right, down), (left, up), (left, down))
        for far, start in product(range(0, 41, 4), corners):
            offset = np.array(start) + far * step
            corner = places[k] + offset * point
            box = Bbox.from_bounds(corner[0], corner[1], size.width, size.height).padded(point + margin)
            cost = sum(_shared(box, other) for j, other in enumerate(taken) if j != k)
            cost += box.width * box.height - _shared(box, inside)
            if best is None or cost < best[0] - _FREE:
                best = cost, offset, box
            if cost <= _FREE:
                break  # no other place is better
        assert best is not None
        labels[k].set_position(tuple(best[1]))
        taken.append(best[2])


def _shared(one: Bbox, other: Bbox) -> float:
    """Area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else float(both.width * both.height)
