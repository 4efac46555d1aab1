"""A close-up of one cell, where its mother may have been, and why it is doubtful."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from numpy.typing import NDArray

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.posterior.map_links import mothers_of
from torchtrack_uq.results.boxes import spacing
from torchtrack_uq.results.doubts import REASONS, CellDoubts
from torchtrack_uq.results.labels_apart import move_apart
from torchtrack_uq.results.scale_bar import draw_scale_bar

_CHOSEN, _OTHER = "#ff8c1a", "#9adcff"
_MASKS_ONLY = np.linspace(0.3, 0.5, 5)
"""Greys of cells where there is no image, by label, so that neighbours mostly differ."""
_BORDER = 0.12
"""Grey of the line where two of them touch."""
_WRITTEN: dict[str, Any] = {
    "fontweight": "bold",
    "path_effects": [withStroke(linewidth=2.5, foreground="black")],
    "zorder": 5,
}
_DOT, _GREY = 30.0, "#707070"
"""Points where there are neither images nor masks: their area in points squared, and their colour."""
Window = tuple[int, int, int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is drawn: see `torchtrack_uq.results.picture.draw_doubts`."""

    movie: Movie | None
    detections: Detections
    probabilities: LinkProbabilities
    selected: NDArray[np.bool_]
    doubts: CellDoubts

    @property
    def candidates(self) -> CandidateGraph:
        """The candidate links."""
        return self.probabilities.graph

    @cached_property
    def mother(self) -> NDArray[np.int64]:
        """(N,) index of the chosen mother, or -1."""
        return mothers_of(self.candidates, self.selected)

    @property
    def box(self) -> Box:
        """Top, bottom, left and right of the field, or of all points with a margin where nobody knows the field."""
        field = self.detections.field_shape if self.movie is None else self.movie.frame_shape
        if field is not None:
            return -0.5, field[-2] - 0.5, -0.5, field[-1] - 0.5
        if not len(self.detections):
            return -0.5, 0.5, -0.5, 0.5
        points = self.detections.coords[:, -2:].astype(np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.04 * max(float((high - low).max()), 2 * self.reach)
        (top, left), (bottom, right) = low - margin, high + margin
        return float(top), float(bottom), float(left), float(right)

    @cached_property
    def reach(self) -> float:
        """Half the side of a close-up, in pixels: a few cell diameters, or a few distances to the nearest neighbour."""
        diameter = self.detections.features.get("equivalent_diameter_area")
        if self.movie is not None:
            return 3.5 * float(np.median(diameter)) if diameter is not None and len(diameter) else 50.0
        apart = spacing(self.detections)
        graph = self.candidates
        ends = (end.numpy()[self.selected] for end in (graph.mother, graph.daughter))
        mother, daughter = (self.detections.coords[end, -2:] for end in ends)
        chosen = np.linalg.norm(mother - daughter, axis=1) if len(mother) else np.zeros(1)
        return max(2.5 * apart, 3 * float(np.quantile(chosen, 0.9))) or 1.0


def draw_close_up(before: Axes, after: Axes, result: Drawn, cell: int, number: int) -> None:
    """Draw a cell in her frame, and beside it who may have been her mother, how likely, and why it is doubtful.

    Args:
        before: Gets the frame of the chosen mother, or of the likeliest where none was chosen: candidates (rings) with
            their labels and probabilities, those of other frames with these, and where the cell is later (cross).
        after: Gets the frame of the cell.
        result: What is drawn.
        cell: Index of the cell.
        number: Of the close-up.
    """
    detections, graph = result.detections, result.candidates
    links, numbers = np.flatnonzero(graph.daughter.numpy() == cell), detections.frame_number
    probability, chosen = result.probabilities.link.numpy()[links], result.selected[links]
    t = int(detections.frame[cell])
    best = links[np.lexsort((probability, chosen))[-1:]]
    earlier = int(detections.frame[int(graph.mother[best[0]])]) if len(best) else t - 1
    window = _window(result, cell)
    for axes, frame in ((before, earlier), (after, t)):
        show_frame(axes, result, frame, window)
        axes.set(xlim=(window[2] - 0.5, window[3] - 0.5), ylim=(window[1] - 0.5, window[0] - 0.5))
        axes.set(aspect="auto")
        axes.set_box_aspect(1)
    y, x = detections.coords[cell, -2:]
    after.plot(x, y, "o", color="white", markersize=6, markeredgecolor="black", zorder=4)
    name = after.annotate(
        str(detections.name[cell]),
        (x, y),
        xytext=(7, 5),
        textcoords="offset points",
        **_WRITTEN,
        color="white",
    )
    move_apart(after, [name], [(x, y), (x, y)])
    before.plot(x, y, "x", color="white", markersize=6, markeredgewidth=1.5, zorder=4)
    _draw_candidates(before, result, cell, links, window, earlier)
    draw_scale_bar(after, detections.voxel_size)
    null = f"no mother {float(result.probabilities.null[cell]):.0%}"
    if result.mother[cell] < 0:
        null += " (chosen)"
    reason = str(result.doubts.reason_of(np.array([cell]))[0])
    if reason == REASONS["alike"] and probability[~chosen].max(initial=0.0) > 2 * probability[chosen].max(
        initial=0.0
    ):
        reason = "another mother is likelier"  # of tracks that somebody else made, or by another method
    frame_before = int(detections.naming.frames(np.array(earlier)))
    before.set_title(f"{number}: frame {frame_before}\n{null}", fontsize=10)
    after.set_title(f"cell {detections.name[cell]} in frame {numbers[cell]}\n{reason}", fontsize=10)


def _draw_candidates(
    axes: Axes, result: Drawn, cell: int, links: NDArray[np.int64], window: Window, frame: int
) -> None:
    """Rings at the candidate mothers in the window, with labels and probabilities."""
    detections, graph = result.detections, result.candidates
    y, x = detections.coords[cell, -2:]
    probability, chosen = result.probabilities.link.numpy()[links], result.selected[links]
    top, bottom, left, right = window
    labels: list[Annotation] = []
    rings: list[tuple[float, float]] = []
    for k in np.lexsort((probability, chosen)):  # the chosen one last, and so on top
        mother, p = int(graph.mother[links[k]]), probability[k]
        my, mx = detections.coords[mother, -2:]
        inside = top <= my < bottom and left <= mx < right
        if not inside or (p < 0.005 and not chosen[k]):
            continue
        colour = _CHOSEN if chosen[k] else _OTHER
        elsewhen = int(detections.frame[mother]) != frame
        axes.plot(
            [mx, x],
            [my, y],
            color=colour,
            linewidth=1 + 4 * p,
            linestyle=(0, (2, 1)) if int(graph.gap[links[k]]) > 1 else "solid",
            solid_capstyle="round",
            dash_capstyle="butt",
            zorder=3,
        )
        axes.plot(
            mx, my, "o", markersize=9, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=2
        )
        rings.append((mx, my))
        text = f"{detections.name[mother]}: {p:.0%}"
        labels.append(
            axes.annotate(
                f"{text} (frame {detections.frame_number[mother]})" if elsewhen else text,
                (mx, my),
                xytext=(7, 5),
                textcoords="offset points",
                color=colour,
                **_WRITTEN,
            )
        )
    move_apart(axes, labels, [*rings, (x, y)])


def _window(result: Drawn, cell: int) -> Window:
    """A square around a cell, inside the field where that is large enough."""
    half = int(np.ceil(result.reach))
    top, bottom, left, right = result.box
    y, x = (round(float(value)) for value in result.detections.coords[cell, -2:])
    rows, columns = (
        _inside(centre, half, int(np.floor(low)) + 1, int(np.ceil(high)))
        for centre, low, high in ((y, top, bottom), (x, left, right))
    )
    return (*rows, *columns)


def _inside(centre: int, half: int, low: int, high: int) -> tuple[int, int]:
    """An interval of 2 half + 1 around a centre, moved into [low, high) where it fits.

    >>> _inside(2, 10, 0, 100), _inside(2, 10, 0, 15)
    ((0, 21), (-8, 13))
    """
    begin, size = centre - half, 2 * half + 1
    if size <= high - low:
        begin = min(max(begin, low), high - size)
    return begin, begin + size


def show_frame(axes: Axes, result: Drawn, t: int, window: Window | None = None) -> None:
    """Show a frame, or the part of it in a window (top, bottom, left, right in pixels)."""
    axes.set(xticks=[], yticks=[], facecolor="black")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if result.movie is None:
        _show_points(axes, result, t)
        return
    image = result.movie.read_image(t)
    pixels: NDArray[Any] = result.movie.read_mask(t) if image is None else image
    if pixels.ndim == 3:
        pixels = pixels.max(axis=0)
    if image is None:
        pixels = cells_in_greys(pixels)
    low, high = (0.0, 1.0) if image is None else np.percentile(pixels[::4, ::4], (1, 99.8))
    height, width = pixels.shape
    top, bottom, left, right = (0, height, 0, width) if window is None else window
    top, bottom, left, right = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    pixels = pixels[top:bottom, left:right]
    if image is not None:  # square root: nuclei differ in brightness more than a screen can show
        pixels = np.sqrt(np.clip((pixels - low) / max(high - low, 1e-9), 0, 1)) * 0.75
    extent = (left - 0.5, right - 0.5, bottom - 0.5, top - 0.5)
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, extent=extent)


def cells_in_greys(mask: NDArray[Any]) -> NDArray[np.float64]:
    """(Y, X) grey of a label image: 0 outside cells, a line where two of them touch.

    >>> cells_in_greys(np.array([[1, 1, 2, 0]])).round(2).tolist()
    [[0.35, 0.12, 0.4, 0.0]]
    """
    grey = np.where(mask > 0, _MASKS_ONLY[mask % len(_MASKS_ONLY)], 0.0)
    for here, beyond in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        touching = (mask[here] != mask[beyond]) & (mask[here] > 0) & (mask[beyond] > 0)
        grey[here][touching] = _BORDER
    return grey


def _show_points(axes: Axes, result: Drawn, t: int) -> None:
    """Show the points of a frame as grey dots in the whole field."""
    top, bottom, left, right = result.box
    points = result.detections.coords[result.detections.in_frame(t), -2:]
    axes.scatter(points[:, 1], points[:, 0], s=_DOT, color=_GREY, linewidths=0, zorder=1)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
