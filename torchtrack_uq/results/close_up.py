"""A close-up of one cell, where its mother may have been, and why it is doubtful."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.posterior.map_links import mothers_of
from torchtrack_uq.results.doubts import CellDoubts

_CHOSEN, _OTHER = "#ff8c1a", "#9adcff"
_MASKS_ONLY = 0.4
"""Grey of cells where there is no image."""
_SAMPLE = 50
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
        apart = _apart(self.detections)
        graph = self.candidates
        steps = self.detections.coords[graph.mother.numpy()] - self.detections.coords[graph.daughter.numpy()]
        chosen = np.linalg.norm(steps[self.selected, -2:], axis=1) if self.selected.any() else np.zeros(1)
        return max(2.5 * apart, 3 * float(np.quantile(chosen, 0.9))) or 1.0


def _apart(detections: Detections) -> float:
    """Median distance to the nearest other cell of the frame, over at most `_SAMPLE` frames; 0 where there is none."""
    frames = np.unique(np.linspace(0, detections.n_frames - 1, _SAMPLE).astype(np.int64))
    found = [np.zeros(0)]
    for t in frames:
        points = detections.isotropic_coords[detections.in_frame(int(t))]
        if len(points) > 1:
            found.append(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1])
    apart = np.concatenate(found)
    return float(np.median(apart)) if len(apart) else 0.0


def draw_close_up(axes: Axes, result: Drawn, cell: int, number: int) -> None:
    """Draw a cell (dot), the candidate mothers within reach (rings), how likely each is, and the reason for doubt."""
    detections, graph = result.detections, result.candidates
    t = int(detections.frame[cell])
    centre, reach = detections.coords[cell, -2:], result.reach
    around = (
        int(centre[0] - reach),
        int(centre[0] + reach) + 2,
        int(centre[1] - reach),
        int(centre[1] + reach) + 2,
    )
    show_frame(axes, result, t, around)
    links, numbers = np.flatnonzero(graph.daughter.numpy() == cell), detections.frame_number
    probability = result.probabilities.link.numpy()[links]
    y, x = centre
    axes.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach), aspect="auto")
    axes.set_box_aspect(1)
    axes.plot(x, y, "o", color="white", markersize=6, markeredgecolor="black", zorder=4)
    labels: list[Annotation] = []
    rings: list[tuple[float, float]] = []
    chosen = result.selected[links]
    for k in np.lexsort((probability, chosen)):  # the chosen one last, and so on top
        link, p = links[k], probability[k]
        my, mx = detections.coords[int(graph.mother[link]), -2:]
        if p < 0.005 or max(abs(my - y), abs(mx - x)) > 0.9 * reach:
            continue
        colour = _CHOSEN if chosen[k] else _OTHER
        before_gap = int(graph.gap[link]) > 1
        axes.plot(
            [mx, x],
            [my, y],
            color=colour,
            linewidth=1 + 4 * p,
            linestyle=(0, (2, 1)) if before_gap else "solid",
            solid_capstyle="round",
            dash_capstyle="butt",
            zorder=3,
        )
        axes.plot(
            mx, my, "o", markersize=9, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=2
        )
        rings.append((mx, my))
        labels.append(
            axes.annotate(
                f"{p:.0%} (frame {numbers[graph.mother[link]]})" if before_gap else f"{p:.0%}",
                (mx, my),
                xytext=(7, 5),
                textcoords="offset points",
                color=colour,
                fontweight="bold",
                path_effects=[withStroke(linewidth=2.5, foreground="black")],
                zorder=5,
            )
        )
    _move_apart(axes, labels, [*rings, (x, y)])
    null = f"no mother {float(result.probabilities.null[cell]):.0%}"
    if result.mother[cell] < 0:
        null += " (chosen)"
    reason = str(result.doubts.reason[cell])
    why = f"{reason}? " if reason else ""
    axes.set_title(
        f"{number}: cell {detections.name[cell]} in frame {numbers[cell]}\n{why}{null}", fontsize=10
    )


def _move_apart(axes: Axes, labels: list[Annotation], marks: list[tuple[float, float]]) -> None:
    """Move labels until none covers another or a mark that is not its own; the last one has the first choice of place.

    A label stays at its ring, on whatever side is free, or goes outwards along its link.

    Args:
        axes: With its final limits.
        labels: One for each mark but the last.
        marks: Rings of the mothers, then the dot of their daughter, in data coordinates.
    """
    axes.apply_aspect()
    canvas: Any = axes.figure.canvas
    renderer = canvas.get_renderer()
    places = axes.transData.transform(marks)
    point = renderer.points_to_pixels(1.0)
    inside = axes.get_window_extent(renderer)
    taken = [Bbox.from_extents(*(place - 5 * point), *(place + 5 * point)) for place in places]
    for k in reversed(range(len(labels))):
        size = labels[k].get_window_extent(renderer)
        outwards = places[k] - places[-1]
        length = float(np.hypot(*outwards))
        step = outwards / length if length > 0 else np.array([0.0, 1.0])
        best: tuple[float, NDArray[np.float64], Bbox] | None = None
        right, up = 7.0, 5.0
        left, down = -right - size.width / point, -up - size.height / point
        for far in range(0, 41, 4):
            for start in ((right, up), (right, down), (left, up), (left, down)):
                offset = np.array(start) + far * step
                corner = places[k] + offset * point
                box = Bbox.from_bounds(corner[0], corner[1], size.width, size.height).padded(point)
                cost = sum(_shared(box, other) for j, other in enumerate(taken) if j != k)
                cost += box.width * box.height - _shared(box, inside)
                if best is None or cost < best[0] - 1e-9:
                    best = cost, offset, box
        assert best is not None
        labels[k].set_position(tuple(best[1]))
        taken.append(best[2])


def _shared(one: Bbox, other: Bbox) -> float:
    """Area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else float(both.width * both.height)


def show_frame(axes: Axes, result: Drawn, t: int, window: Window | None = None) -> None:
    """Show a frame, or the part of it in a window (top, bottom, left, right in pixels)."""
    axes.set(xticks=[], yticks=[], facecolor="black")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if result.movie is None:
        _show_points(axes, result, t)
        return
    image = result.movie.read_image(t)
    pixels: NDArray[Any] = (result.movie.read_mask(t) > 0) * _MASKS_ONLY if image is None else image
    if pixels.ndim == 3:
        pixels = pixels.max(axis=0)
    low, high = (0.0, 1.0) if image is None else np.percentile(pixels[::4, ::4], (1, 99.8))
    height, width = pixels.shape
    top, bottom, left, right = (0, height, 0, width) if window is None else window
    top, bottom, left, right = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    pixels = pixels[top:bottom, left:right]
    if image is not None:  # square root: nuclei differ in brightness more than a screen can show
        pixels = np.sqrt(np.clip((pixels - low) / max(high - low, 1e-9), 0, 1)) * 0.75
    extent = (left - 0.5, right - 0.5, bottom - 0.5, top - 0.5)
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, extent=extent)


def _show_points(axes: Axes, result: Drawn, t: int) -> None:
    """Show the points of a frame as grey dots in the whole field."""
    top, bottom, left, right = result.box
    points = result.detections.coords[result.detections.in_frame(t), -2:]
    axes.scatter(points[:, 1], points[:, 0], s=_DOT, color=_GREY, linewidths=0, zorder=1)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
