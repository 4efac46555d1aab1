"""One picture of a movie: its links coloured by entropy, and its most doubtful spots in close-up."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.posterior.map_links import mothers_of
from torchtrack_uq.results.doubts import REASONS, CellDoubts

_SURE_TO_DOUBTFUL = LinearSegmentedColormap.from_list("doubt", ["#4cc3f1", "#ffe14d", "#ff8c1a", "#ff2d2d"])
_ENTROPY = Normalize(0.0, float(np.log(2)), clip=True)
_N_CLOSE_UPS = 4
_LETTERS = {"missed": "G", "false": "F", "merged": "M", "split": "S"}
_CHOSEN, _OTHER = "#ff8c1a", "#9adcff"
_MASKS_ONLY = 0.4
"""Grey of cells where there is no image."""
_LEGEND = "letters: probably wrong detections, G seen again after a gap, F false, M merged, S split"
_NUMBER_HEIGHT = 26.0
"""Points above its cell that a number takes; nearer to the top edge it goes below, so as not to cover the title."""

Window = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class _Tracked:
    """What is drawn: see `draw_doubts`."""

    movie: Movie
    detections: Detections
    probabilities: LinkProbabilities
    selected: NDArray[np.bool_]
    doubts: CellDoubts

    @property
    def candidates(self) -> CandidateGraph:
        return self.probabilities.graph

    @cached_property
    def mother(self) -> NDArray[np.int64]:
        return mothers_of(self.candidates, self.selected)


def draw_doubts(
    movie: Movie,
    detections: Detections,
    probabilities: LinkProbabilities,
    selected: NDArray[np.bool_],
    doubts: CellDoubts | None = None,
) -> Figure:
    """Draw the links of a whole movie over one of its images, and close-ups of its most doubtful cells.

    Colour is the entropy of each daughter's distribution over mothers: blue for a sure link, red from log 2
    on, where two answers are equally likely. Links over gaps are dashed; letters say where a detection is probably
    wrong: seen again after a miss, false, merged, or split. The close-ups are of the cells that `TrackingResult.review`
    begins with, and say why: they show the candidate mothers (rings) of one daughter (dot) with their probabilities,
    those from before a gap with their frame. 3D movies are drawn as maximum projections along z.

    Args:
        movie: Masks, and images where there are any.
        detections: The movie's N cells.
        probabilities: Of its E candidate links, on the CPU.
        selected: (E,) bool, the links that were chosen.
        doubts: What may be wrong with the cells; found anew if not given.

    Returns:
        A figure; `figure.savefig(file)` writes it.
    """
    if doubts is None:
        doubts = CellDoubts.of(detections, probabilities, selected, movie.frame_shape)
    result = _Tracked(movie, detections, probabilities, selected, doubts)
    height, width = result.movie.frame_shape[-2:]
    left = float(np.clip(6.4 * width / height, 5.0, 12.0))  # inches; the close-ups take 7.2
    figure = Figure(figsize=(left + 7.2, 7.6), facecolor="white", dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2,
        3,
        width_ratios=[left, 3.6, 3.6],
        left=0.01,
        right=0.99,
        bottom=0.09,
        top=0.93,
        wspace=0.03,
        hspace=0.16,
    )
    worst = _spots(result)
    background = int(result.detections.frame[worst[0]]) if len(worst) else result.movie.n_frames - 1
    overview = figure.add_subplot(grid[:, 0])
    _draw_overview(overview, result, background, worst)
    for k in range(_N_CLOSE_UPS):
        axes = figure.add_subplot(grid[k // 2, 1 + k % 2])
        if k < len(worst):
            _draw_close_up(axes, result, int(worst[k]), k + 1)
        else:
            axes.set_axis_off()
    bar = figure.colorbar(
        _scalar_map(),
        ax=overview,
        orientation="horizontal",
        fraction=0.035,
        pad=0.015,
        aspect=40,
        extend="max",
    )
    bar.set_label("entropy of the link in nats: sure (0) to two equally likely answers (0.69)")
    figure.text(
        0.99,
        0.06,
        "close-ups: a cell (dot), where its candidate mothers were (rings) and how likely each is;\n"
        "orange: chosen; dashed: over a gap"
        + (
            "\n" + _LEGEND if any((np.nan_to_num(doubts.part[kind]) > 0.5).any() for kind in _LETTERS) else ""
        ),
        ha="right",
        va="top",
        fontsize=9,
    )
    return figure


def _spots(result: _Tracked) -> NDArray[np.int64]:
    """Most doubtful cells, no two of them close-ups of the same place and time."""
    frame = result.detections.frame
    doubt = np.where(frame == 0, -1.0, result.doubts.doubt)
    entropy = result.probabilities.entropy.numpy()
    points = result.detections.coords[:, -2:]
    chosen: list[int] = []
    for cell in np.lexsort((-entropy, -doubt))[: 50 * _N_CLOSE_UPS]:
        if doubt[cell] <= 0 or len(chosen) == _N_CLOSE_UPS:
            break
        if not any(
            abs(frame[cell] - frame[other]) < 2
            and np.linalg.norm(points[cell] - points[other]) < _reach(result)
            for other in chosen
        ):
            chosen.append(int(cell))
    return np.array(chosen, np.int64)


def _reach(result: _Tracked) -> float:
    """Half the side of a close-up, in pixels: a few cell diameters."""
    diameter = result.detections.features.get("equivalent_diameter_area")
    return 3.5 * float(np.median(diameter)) if diameter is not None and len(diameter) else 50.0


def _draw_overview(axes: Axes, result: _Tracked, frame: int, worst: NDArray[np.int64]) -> None:
    _show_frame(axes, result, frame)
    graph, points = result.candidates, result.detections.coords[:, -2:]
    daughter = graph.daughter.numpy()[result.selected]
    entropy = result.probabilities.entropy.numpy()
    order = np.argsort(entropy[daughter])  # the doubtful ones on top
    segments = np.stack([points[graph.mother.numpy()[result.selected]], points[daughter]], axis=1)[order]
    colours = _SURE_TO_DOUBTFUL(_ENTROPY(entropy[daughter][order]))
    over_gap = (graph.gap.numpy()[result.selected] > 1)[order]
    for those, style in ((~over_gap, "solid"), (over_gap, (0, (2, 1.5)))):
        lines = list(segments[those][:, :, ::-1])
        axes.add_collection(LineCollection(lines, colors=colours[those], linewidths=1.6, linestyles=[style]))
    _write_letters(axes, result, points)
    orphans = np.flatnonzero((result.mother < 0) & (result.detections.frame > 0))
    axes.scatter(
        points[orphans, 1],
        points[orphans, 0],
        s=14,
        marker="s",
        facecolors="none",
        edgecolors=_SURE_TO_DOUBTFUL(_ENTROPY(entropy[orphans])),
        linewidths=0.9,
    )
    axes.apply_aspect()
    top = axes.get_window_extent().y1 - _NUMBER_HEIGHT / 72 * axes.figure.dpi
    for number, cell in enumerate(worst, start=1):
        y, x = points[cell]
        below = axes.transData.transform((x, y))[1] > top
        axes.annotate(
            str(number),
            (x, y),
            xytext=(9, -18 if below else 9),
            textcoords="offset points",
            color="white",
            fontsize=11,
            fontweight="bold",
            bbox={"boxstyle": "circle,pad=0.15", "facecolor": "#c81e1e", "edgecolor": "none"},
        )
    axes.set_title(
        f"links of all {result.movie.n_frames} frames over frame {frame} (squares: cells without mother)",
        fontsize=11,
    )


def _write_letters(axes: Axes, result: _Tracked, points: NDArray[np.float32]) -> None:
    """A letter at every detection that is more likely wrong than not, where that is what is likeliest to be wrong."""
    reason = result.doubts.reason
    for kind, letter in _LETTERS.items():
        probable = np.nan_to_num(result.doubts.part[kind]) > 0.5
        for cell in np.flatnonzero(probable & (reason == REASONS[kind])):
            y, x = points[cell]
            axes.text(
                x,
                y,
                letter,
                color="white",
                fontsize=7,
                ha="center",
                va="center",
                clip_on=True,
                path_effects=[withStroke(linewidth=1.8, foreground="#7a1fa2")],
                zorder=4,
            )


def _draw_close_up(axes: Axes, result: _Tracked, cell: int, number: int) -> None:
    detections, graph = result.detections, result.candidates
    t = int(detections.frame[cell])
    centre, reach = detections.coords[cell, -2:], _reach(result)
    around = (
        int(centre[0] - reach),
        int(centre[0] + reach) + 2,
        int(centre[1] - reach),
        int(centre[1] + reach) + 2,
    )
    _show_frame(axes, result, t, around)
    links = np.flatnonzero(graph.daughter.numpy() == cell)
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
                f"{p:.0%} (frame {t - int(graph.gap[link])})" if before_gap else f"{p:.0%}",
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
    axes.set_title(f"{number}: cell {detections.label[cell]} in frame {t}\n{why}{null}", fontsize=10)


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


def _show_frame(axes: Axes, result: _Tracked, t: int, window: Window | None = None) -> None:
    """Show a frame, or the part of it in a window (top, bottom, left, right in pixels)."""
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
    axes.set(xticks=[], yticks=[], facecolor="black")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _scalar_map() -> ScalarMappable:
    return ScalarMappable(_ENTROPY, _SURE_TO_DOUBTFUL)
