"""The question as a layer of napari: rings around the cell and her candidates, and the view that shows them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points
from napari.viewer import Viewer

from torchtrack_uq.napari_plugin.controller import ReviewController
from torchtrack_uq.napari_plugin.marks import Mark, Spot

NAME = "question"
_COLORS = {"asked": "white", "chosen": "#e69f00", "candidate": "#56b4e9"}
_LINE = 0.05
"""Width of a ring's line, of its diameter."""
_CORNER = 0.35
"""Where text begins: down and to the right on the ring, in its diameters."""
_CROSS = 0.3
"""Size of a cross, of a ring's diameter."""
_ROOM = 1.5
"""Edges of the first spot that the view shows; then it keeps the zoom that a person likes."""


class QuestionRings:
    """Shows one question after the other; the layer is made at the first one.

    It is the active layer then, so that keys reach the review before napari's tools: these come back as soon as another
    layer is chosen.

    Args:
        viewer: To show it in.
        keys: What they do.
    """

    def __init__(self, viewer: Viewer, keys: Mapping[str, Callable[..., None]]) -> None:
        self.viewer, self.keys = viewer, keys
        self._layer: Points | None = None
        self._shown: dict[str, Any] | None = None
        self._review: ReviewController | None = None
        self._near = False

    def show(self, review: ReviewController, voxel_size: tuple[float, ...] | None) -> None:
        """Draw the question and go there, unless it is shown already."""
        spot = review.spot
        if review is not self._review:
            self.remove()
            self._review, self._near = review, False
        if review.question is self._shown and self._layer in self.viewer.layers:
            return
        if spot is None:
            self.remove()
            return
        self._shown = review.question
        if self._layer is None or self._layer not in self.viewer.layers:
            self._layer = self._add(spot, voxel_size)
        else:
            _change(self._layer, spot)  # removing a layer takes napari .3 s
        self.viewer.layers.selection.active = self._layer
        self._go(spot, voxel_size or (1.0,) * len(spot.place))

    def remove(self) -> None:
        """Take the layer away; the next `show` draws it again."""
        self._shown = None
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        self._layer = None

    def _add(self, spot: Spot, voxel_size: tuple[float, ...] | None) -> Points:
        scale = None if voxel_size is None else (1.0, *voxel_size)
        layer = Points(ndim=1 + len(spot.place), name=NAME, scale=scale)
        _change(layer, spot)
        layer.editable = False
        for key, action in self.keys.items():
            layer.bind_key(key, action, overwrite=True)
        self.viewer.add_layer(layer)
        return layer

    def _go(self, spot: Spot, voxel_size: tuple[float, ...]) -> None:
        viewer = self.viewer
        world = np.array(spot.place) * voxel_size
        viewer.dims.set_point(0, float(spot.frame))
        if len(world) == 3 and viewer.dims.ndisplay == 2:
            viewer.dims.set_point(viewer.dims.ndim - 3, float(round(spot.place[0])) * voxel_size[0])
        if not self._near:  # napari has no public name for its canvas' size: a view of everything tells it
            viewer.reset_view()
            field = min(viewer.layers.extent.world[1, -2:] - viewer.layers.extent.world[0, -2:])
            viewer.camera.zoom *= max(float(field) / (_ROOM * spot.size * voxel_size[-1]), 1.0)
            self._near = True
        viewer.camera.center = (0.0, *world.tolist()) if len(world) == 2 else tuple(world.tolist())


def _change(layer: Points, spot: Spot) -> None:
    """Make it show this spot."""
    colors = [_COLORS[mark.kind] for mark in spot.marks]
    layer.data = np.array([(mark.frame, *mark.place) for mark in spot.marks])
    layer.features = pd.DataFrame({"text": [mark.text for mark in spot.marks]})
    layer.size = [spot.diameter * (1 if mark.here else _CROSS) for mark in spot.marks]
    layer.symbol = [_symbol(mark) for mark in spot.marks]
    layer.border_color = colors
    layer.face_color = ["transparent" if mark.here else _COLORS[mark.kind] for mark in spot.marks]
    layer.border_width = [_LINE] * len(spot.marks)
    layer.text = {
        "string": "{text}",
        "color": colors,
        "size": 11,
        "anchor": "upper_left",
        "translation": _CORNER * spot.diameter,
    }


def _symbol(mark: Mark) -> str:
    if not mark.here:
        return "x"
    return "square" if mark.kind == "asked" else "disc"
