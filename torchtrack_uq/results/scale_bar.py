"""A bar that says how long something in a picture is."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from torchtrack_uq.results.round_length import round_length

_SHARE = 0.3
"""Of the picture's width that a bar takes at most."""


def draw_scale_bar(axes: Axes, voxel_size: Sequence[float] | None) -> None:
    """A white bar in the lower right corner; in micrometres, or in pixels where nobody knows how large these are.

    Args:
        axes: With its final limits, in pixels.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x), or None.
    """
    (left, right), (bottom, top) = sorted(axes.get_xlim()), axes.get_ylim()
    edge, unit = (1.0, "px") if voxel_size is None else (float(voxel_size[-1]), "µm")
    length = round_length(_SHARE * (right - left) * edge)
    height = abs(top - bottom)
    end, y = right - 0.04 * (right - left), bottom + np.sign(top - bottom) * 0.05 * height
    outline = [withStroke(linewidth=4.5, foreground="black")]
    axes.plot(
        [end - length / edge, end], [y, y], color="white", linewidth=2.5, path_effects=outline, zorder=6
    )
    axes.text(
        end,
        y + np.sign(top - bottom) * 0.02 * height,
        f"{length:g} {unit}",
        color="white",
        fontsize=8,
        ha="right",
        va="bottom",
        path_effects=[withStroke(linewidth=2, foreground="black")],
        zorder=6,
    )
