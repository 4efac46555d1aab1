"""One picture of a movie: its links coloured by entropy, and its most doubtful spots in close-up."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.close_up import Drawn, draw_close_up, show_frame
from torchtrack_uq.results.doubts import REASONS, CellDoubts
from torchtrack_uq.results.labels_apart import move_apart
from torchtrack_uq.results.scale_bar import draw_scale_bar

_MOST_LETTERS = 100
"""More hide what they stand on."""
_MOST_LINKS = 100_000
"""More lie on top of each other."""
_LINES_OF_A_PATH = 1000
"""Of one colour: the renderer has a limit for what a path may cover."""
_SURE_TO_DOUBTFUL = LinearSegmentedColormap.from_list("doubt", ["#4cc3f1", "#ffe14d", "#ff8c1a", "#ff2d2d"])
_ENTROPY = Normalize(0.0, float(np.log(2)), clip=True)
_N_CLOSE_UPS, _CLOSE_UP = 4, 3.0
"""How many, and the side of each of their two pictures in inches."""
_LETTERS = {"missed": "G", "false": "F", "merged": "M", "split": "S"}
_LEGEND = "letters: probably wrong detections, G seen again after a gap, F false, M merged, S split"


def draw_doubts(
    movie: Movie | None,
    detections: Detections,
    probabilities: LinkProbabilities,
    selected: NDArray[np.bool_],
    doubts: CellDoubts | None = None,
) -> Figure:
    """Draw the links of a whole movie over one of its images, and close-ups of its most doubtful cells.

    Colour is the entropy of each daughter's distribution over mothers: blue for a sure link, red from log 2
    on, where two answers are equally likely. Links over gaps are dashed; letters say where a detection is probably
    wrong: seen again after a miss, false, merged, or split. The close-ups are of the cells that `TrackingResult.review`
    begins with, and say why: they show a daughter (dot) in her frame and, beside it, her candidate mothers (rings) in
    theirs with labels and probabilities, those of other frames with these. 3D movies are drawn as maximum projections
    along z, points of all planes together.

    Args:
        movie: Masks, and images where there are any; None draws cells as dots, as for points.
        detections: The movie's N cells.
        probabilities: Of its E candidate links, on the CPU.
        selected: (E,) bool, the links that were chosen.
        doubts: What may be wrong with the cells; found anew if not given.

    Returns:
        A figure; `figure.savefig(file)` writes it.
    """
    if doubts is None:
        field = detections.field_shape if movie is None else movie.frame_shape
        doubts = CellDoubts.of(detections, probabilities, selected, field)
    result = Drawn(movie, detections, probabilities, selected, doubts)
    top, bottom, left_end, right_end = result.box
    height, width = bottom - top, right_end - left_end
    left = float(np.clip(6.4 * width / height, 5.0, 12.0))  # inches
    figure = Figure(figsize=(left + 4 * _CLOSE_UP, 7.6), facecolor="white", dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2,
        5,
        width_ratios=[left, *[_CLOSE_UP] * 4],
        left=0.01,
        right=0.99,
        bottom=0.09,
        top=0.93,
        wspace=0.03,
        hspace=0.16,
    )
    worst = _spots(result)
    background = int(result.detections.frame[worst[0]]) if len(worst) else detections.n_frames - 1
    overview = figure.add_subplot(grid[:, 0])
    _draw_overview(overview, result, background, worst)
    for k in range(_N_CLOSE_UPS):
        row, column = k // 2, 1 + 2 * (k % 2)
        before, after = (figure.add_subplot(grid[row, column + side]) for side in (0, 1))
        if k < len(worst):
            draw_close_up(before, after, result, int(worst[k]), k + 1)
        else:
            before.set_axis_off()
            after.set_axis_off()
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
        "close-ups: a cell (dot, right) and, some time before (left), its candidate mothers (rings)\n"
        "with their labels and probabilities; cross: where the cell is later; orange: chosen; dashed: over a gap"
        + (
            "\n" + _LEGEND if any((np.nan_to_num(doubts.part[kind]) > 0.5).any() for kind in _LETTERS) else ""
        ),
        ha="right",
        va="top",
        fontsize=9,
    )
    return figure


def _spots(result: Drawn) -> NDArray[np.int64]:
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
            and np.linalg.norm(points[cell] - points[other]) < result.reach
            for other in chosen
        ):
            chosen.append(int(cell))
    return np.array(chosen, np.int64)


def _drawn(entropy: NDArray[np.floating]) -> NDArray[np.int64]:
    """Which links of a movie are drawn, the doubtful ones last and so on top: all, or of very many `_MOST_LINKS`."""
    order = np.argsort(entropy, kind="stable")
    if len(order) <= _MOST_LINKS:
        return order
    sure, doubtful = np.split(order, [-(_MOST_LINKS // 2)])
    even = np.linspace(0, len(sure) - 1, _MOST_LINKS - len(doubtful)).astype(np.int64)
    return np.concatenate([sure[even], doubtful])


def _draw_overview(axes: Axes, result: Drawn, frame: int, worst: NDArray[np.int64]) -> None:
    show_frame(axes, result, frame)
    graph, points = result.candidates, result.detections.coords[:, -2:]
    daughter = graph.daughter.numpy()[result.selected]
    entropy = result.probabilities.entropy.numpy()
    order, these = _drawn(entropy[daughter]), f"links of all {result.detections.n_frames} frames"
    if len(order) < len(daughter):
        these = f"{len(order):,} of {len(daughter):,} links, the most doubtful\nand an even share of others,"
    mother, born = graph.mother.numpy()[result.selected], result.detections.frame
    segments = np.stack([points[mother], points[daughter]], axis=1)[order]
    doubt = _ENTROPY(entropy[daughter][order])
    over_gap = (born[daughter] - born[mother] > 1)[order]
    for those, style in ((~over_gap, "solid"), (over_gap, (0, (2, 1.5)))):
        _draw_lines(axes, segments[those][:, :, ::-1], doubt[those], style)
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
    draw_scale_bar(axes, result.detections.voxel_size)
    numbers = [
        axes.annotate(
            str(number),
            (points[cell][1], points[cell][0]),
            xytext=(7, 5),
            textcoords="offset points",
            color="white",
            fontsize=11,
            fontweight="bold",
            bbox={"boxstyle": "circle,pad=0.15", "facecolor": "#c81e1e", "edgecolor": "none"},
            zorder=5,
        )
        for number, cell in enumerate(worst, start=1)
    ]
    if numbers:
        places = [(float(points[cell][1]), float(points[cell][0])) for cell in worst]
        move_apart(axes, numbers, [*places, places[0]])
    number_of = int(result.detections.naming.frames(np.array(frame)))
    projected = ", seen along z" if result.detections.ndim == 3 else ""
    axes.set_title(
        f"{these} over frame {number_of}{projected} (squares: cells without mother)",
        fontsize=11,
    )


def _draw_lines(
    axes: Axes,
    lines: NDArray[np.floating],
    doubt: NDArray[np.floating],
    style: str | tuple[int, tuple[float, ...]],
) -> None:
    """Draw lines (n, 2, 2) in order, those that follow each other in one colour as one path, which is much faster."""
    colour = np.minimum((doubt * _SURE_TO_DOUBTFUL.N).astype(np.int64), _SURE_TO_DOUBTFUL.N - 1)
    new = np.flatnonzero(np.append(True, np.diff(colour) != 0)[: len(colour)])
    begin = np.unique(np.concatenate([new, np.arange(0, len(lines), _LINES_OF_A_PATH)]))
    paths = [
        Path(part.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(part)))
        for part in np.split(lines, begin[1:])
        if len(part)
    ]
    axes.add_collection(
        PathCollection(
            paths,
            facecolors="none",
            edgecolors=_SURE_TO_DOUBTFUL(colour[begin]),
            linewidths=1.6,
            linestyles=[style],
        )
    )


def _write_letters(axes: Axes, result: Drawn, points: NDArray[np.floating]) -> None:
    """A letter at detections that are more likely wrong than not, where that is what is likeliest to be wrong.

    At most `_MOST_LETTERS` of a kind, the most doubtful.
    """
    reason = result.doubts.reason
    for kind, letter in _LETTERS.items():
        part = np.where(reason == REASONS[kind], np.nan_to_num(result.doubts.part[kind]), 0)
        for cell in np.argsort(-part, kind="stable")[:_MOST_LETTERS].tolist():
            if part[cell] <= 0.5:
                break
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


def _scalar_map() -> ScalarMappable:
    return ScalarMappable(_ENTROPY, _SURE_TO_DOUBTFUL)
