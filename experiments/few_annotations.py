"""How well a temperature fitted on few annotated daughters does, with and without a prior that draws T to 1.

For every movie, tracker and stride, n daughters are drawn at random from the first half of the frames (50 draws);
T minimises their negative log-likelihood, with a Gaussian prior on log T of some width or none, on a grid of
log T; ECE and NLL are then measured on all daughters of the second half.

    python -m experiments.few_annotations [DATA] [--movies NAME ...]
"""

import argparse
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import describe_machine
from common.data import data_folder
from common.results import write_results
from torchtrack_uq import InputError, UncertaintyLayer
from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie, TemperatureObjective, score_movie
from torchtrack_uq.calibration.objective import LARGEST, LEAST_LOG_P, SMALLEST
from torchtrack_uq.datasets import read_annotated
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.truth.judged import JudgedDaughters

RESULTS = Path(__file__).parent / "results"
MOVIES = ("mouse-epidermis", "Fluo-N2DL-HeLa", "cell-migration", "cglutamicum-06min", "Fluo-N2DH-SIM+")
CASES = [("distance", 1), ("distance", 4), ("overlap", 1), ("overlap", 4)]
METHODS = ("SM", "AS")
SIZES = (20, 50, 200)
WIDTHS = (None, 2.0, 1.0, 0.5, 0.25)
DRAWS = 50
GRID = np.linspace(math.log(SMALLEST), math.log(LARGEST), 93)


def tabulate(
    layer: UncertaintyLayer, movie: ScoredMovie
) -> tuple[np.ndarray, list[JudgedDaughters], np.ndarray]:
    """Log-probability of the truth of every reachable daughter at every T, judged daughters at every T, frames."""
    rows, judged = [], []
    for log_t in GRID:
        layer.scaler.temperature = math.exp(log_t)
        with torch.no_grad():
            found = movie.judge(layer)
        rows.append(found.true_log_p.clamp(min=LEAST_LOG_P).numpy())
        judged.append(found)
    return np.array(rows), judged, judged[0].frame.numpy()


def one_case(folder: Path, tracker_name: str, stride: int, method: str) -> list[dict[str, object]]:
    """Rows of one movie, tracker, stride and method: no annotation, few of them in every draw, and all."""
    annotated = read_annotated(folder, stride, progress=False)
    layer = UncertaintyLayer(method)
    scored = score_movie(annotated, make_tracker(tracker_name, max_gap=1), layer, progress=False)
    TemperatureObjective(layer, [scored])  # refuses what cannot be fitted
    log_p, judged, frame = tabulate(layer, scored)
    half = (frame.min() + frame.max() + 1) / 2
    reachable = judged[0].reachable.numpy()
    first = np.flatnonzero((frame < half) & reachable)
    second = torch.from_numpy(frame >= half)
    test = [found.where(second) for found in judged]
    metrics = pd.DataFrame([summarise(found) for found in test])[["ece", "nll"]].to_numpy()
    at_one = int(np.abs(GRID).argmin())
    everything = int(log_p[:, first].mean(1).argmax())
    rng = np.random.default_rng(0)
    base = {"movie": folder.parent.name, "tracker": tracker_name, "stride": stride, "method": method}
    rows = [
        {**base, "n": 0, "width": "T = 1", "ece": metrics[at_one, 0], "nll": metrics[at_one, 1], "log_t": 0.0},
        {
            **base, "n": len(first), "width": "all", "ece": metrics[everything, 0],
            "nll": metrics[everything, 1], "log_t": GRID[everything],
        },
    ]  # fmt: skip
    for n in SIZES:
        if n > len(first):
            continue
        for _ in range(DRAWS):
            drawn = rng.choice(first, n, replace=False)
            total = log_p[:, drawn].sum(1)
            for width in WIDTHS:
                penalty = 0.0 if width is None else GRID**2 / (2 * width**2)
                k = int((total - penalty).argmax())
                rows.append({
                    **base, "n": n, "width": "none" if width is None else f"{width:g}",
                    "ece": metrics[k, 0], "nll": metrics[k, 1], "log_t": GRID[k],
                })  # fmt: skip
    return rows


def main() -> None:
    """Fit on few daughters of every movie, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("--movies", nargs="+", metavar="NAME", default=MOVIES)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    warnings.simplefilter("ignore", CalibrationWarning)
    for name in options.movies:
        for tracker, stride in CASES:
            for method in METHODS:
                try:
                    rows += one_case(options.data / name / "01", tracker, stride, method)
                except InputError as error:
                    print(f"{name} {tracker} stride {stride} {method}: {error}", flush=True)
                    continue
                print(f"{name} {tracker} stride {stride} {method}: done", flush=True)
    table = pd.DataFrame(rows).round(6)
    write_results(options.output, "few_annotations", report(table), {"few_annotations": table})


def report(table: pd.DataFrame) -> list[str]:
    """The page, from the table."""
    keys = ["movie", "tracker", "stride", "method"]
    means = table.groupby([*keys, "n", "width"], sort=False)[["ece", "nll"]].mean().reset_index()
    complete = means.groupby(keys)["n"].transform(lambda n: len(set(SIZES) & set(n)) == len(SIZES))
    shown = means[complete]
    widths = ["none" if w is None else f"{w:g}" for w in WIDTHS]
    lines = [
        "# Temperatures from few annotations",
        "",
        "Of the temperature alone. Temperature and event scores from few daughters, with a prior that has seen other "
        "movies, are in [movie_prior.md](movie_prior.md).",
        "",
        " ".join((__doc__ or "").split("\n\n")[1].split()),
        "",
        f"Means over cases (movie, tracker, stride, method), each the mean of {DRAWS} draws. Columns: width of "
        "the prior on log T; 0.5 is the default. Written by `python -m experiments.few_annotations`.",
        "",
        describe_machine(),
        "",
    ]
    for stride, part in shown.groupby("stride"):
        for metric in ("ece", "nll"):
            wide = part[part["width"].isin(widths)].pivot_table(
                index="n", columns="width", values=metric, sort=False
            )
            one, full = (part[part["width"] == w][metric].mean() for w in ("T = 1", "all"))
            lines += [
                f"## {metric.upper()} at stride {stride} ({part.groupby(keys).ngroups} cases)",
                "",
                f"Without annotation (T = 1): {one:.4f}. With every daughter of the first half: {full:.4f}.",
                "",
                wide[widths].to_markdown(floatfmt=".4f"),
                "",
            ]
    fitted = table[table["width"] == "all"]["log_t"]
    inside = fitted[fitted.abs() < math.log(50)]
    lines += [
        "Fitted on all daughters of the first halves without a prior, T ran to a bound in "
        f"{len(fitted) - len(inside)} of {len(fitted)} cases (the tracker made no mistake there, or AS listed too "
        "little of crowded frames). In the "
        f"others log T has mean {inside.mean():.2f} and root mean square {np.sqrt((inside**2).mean()):.2f}: about the "
        "width that a prior around T = 1 should have.",
        "",
    ]
    return lines


if __name__ == "__main__":
    main()
