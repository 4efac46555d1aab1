"""Whether intervals for lineages hold the truth as often as they say, on simulated movies.

    python -m experiments.lineage_intervals [--movies 200]

Points that walk, divide, vanish and come up (`torchtrack_uq.datasets.simulator`, daughters starting where their mother
was), close enough together to be mistaken for each other, and scores that are the log-densities of what the simulator
does, the border included: so the posterior is the right one, and what is tested is what draws of it are made into.
Writes `results/lineage_intervals.md` and `.csv`.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from tqdm import tqdm

from benchmarks.machine import describe_machine
from common.results import write_results
from torchtrack_uq import CandidateGraph, Detections
from torchtrack_uq.datasets.simulator import simulate_movie
from torchtrack_uq.functional.calibration_error import calibration_error
from torchtrack_uq.posterior.histories import Histories, draw_histories
from torchtrack_uq.posterior.map_links import map_links, mothers_of
from torchtrack_uq.results.lineage_draws import WHOLE, lineage_draws
from torchtrack_uq.results.lineage_statistics import lineage_statistics
from torchtrack_uq.results.track_probabilities import tracks_table
from torchtrack_uq.results.tracklets import tracklets
from torchtrack_uq.trackers.neighbours import neighbour_links

RESULTS = Path(__file__).parent / "results"
FIELD, MOTION, DIVIDE, VANISH, COME = 100.0, 3.0, 0.06, 0.03, 1.0
N_FRAMES, N_CELLS = 16, 40
LEVELS = (0.5, 0.8, 0.9)
FARTHEST = 6.0
"""Standard deviations that a candidate mother may be away."""
OF_FRAME = ("lineages", "births", "deaths", "divisions", "division_rate")
ASKED = ("p_track", "p_division", "p_lineage")


def simulated(seed: int) -> tuple[CandidateGraph, np.ndarray, Detections]:
    """Candidate links scored by the simulator's own densities, the true mother of each cell, and the cells."""
    movie = simulate_movie(
        N_FRAMES, N_CELLS, (FIELD, FIELD), motion=MOTION, divide=DIVIDE, disappear=VANISH, appear=COME,
        separation=0.0, seed=seed,
    )  # fmt: skip
    cells = movie.detections
    mother, daughter, distance = neighbour_links(cells, FARTHEST * MOTION)
    at = cells.coords.astype(np.float64)
    stays_in = np.prod(norm.cdf((FIELD - at) / MOTION) - norm.cdf(-at / MOTION), axis=1)
    out = 1 - stays_in
    one = 1 - DIVIDE - VANISH + 2 * DIVIDE * out  # of two daughters, one may leave the field
    none = VANISH + (1 - DIVIDE - VANISH) * out + DIVIDE * out**2
    score = np.log(one)[mother] - (distance / MOTION) ** 2 / 2 - math.log(2 * math.pi * MOTION**2)
    graph = CandidateGraph.from_links(
        cells, mother, daughter, torch.from_numpy(score), appear=math.log(COME / FIELD**2), disappear=np.log(none),
        divide=math.log(2 * DIVIDE) - 2 * np.log(one),
    )  # fmt: skip
    return graph, movie.mother, cells


def rows_of(seed: int, n: int | None = None) -> tuple[list[dict[str, object]], pd.DataFrame]:
    """Whether each interval of a movie holds the truth, and how wide it is; and its tracks, judged."""
    graph, truth, cells = simulated(seed)
    frame = cells.frame
    drawn = draw_histories(graph, n, seed=seed)
    true = lineage_draws(truth[None].repeat(2, axis=0), frame, N_FRAMES)
    rows: list[dict[str, object]] = []
    for level in LEVELS:
        table = lineage_statistics(cells, graph, level=level, histories=drawn).table
        for row in table.to_dict("records"):
            name, t = row["quantity"], row["frame"]
            if pd.isna(t):
                value = float(true.whole[name][0])
            elif name in OF_FRAME:
                value = float(true.per_frame[name][0, int(t)])
            else:
                continue
            if not (math.isnan(value) or math.isnan(row["low"])):
                inside = row["low"] <= value <= row["high"]
                known = {"movie": seed, "level": level, "quantity": name}
                of, inside = "movie" if pd.isna(t) else "frame", row["low"] <= value <= row["high"]
                rows.append(known | {"of": of, "inside": inside, "width": row["high"] - row["low"]})
    mother = mothers_of(graph, map_links(graph))
    tracks = tracklets(frame, mother)
    judged = tracks_table(mother, tracks, drawn)
    zeros = np.zeros(len(truth), np.int64)
    one = Histories(truth[None].repeat(2, axis=0), zeros, zeros, np.array([True]), np.zeros(2, np.int64))
    right = tracks_table(mother, tracks, one)
    for name in (*ASKED, "expected_errors"):
        judged[f"{name}_true"] = right[name]
    return rows, judged


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--movies", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows, tracks = [], []
    for seed in tqdm(range(options.movies)):
        found, judged = rows_of(seed)
        rows += found
        tracks.append(judged)
    table = pd.DataFrame(rows)
    shares = table.groupby(["of", "quantity", "level"], sort=False).agg(
        intervals=("inside", "size"), inside=("inside", "mean"), width=("width", "median")
    )
    shares = shares.reset_index()
    all_tracks = pd.concat(tracks)
    sentences = []
    for name in ASKED:
        known = all_tracks[[name, f"{name}_true"]].dropna()
        p, right = torch.tensor(known[name].to_numpy()), torch.tensor(known[f"{name}_true"].to_numpy() > 0.5)
        sentences.append(
            f"`{name}`: {len(p)}, right {float(right.double().mean()):.3f}, mean {float(p.mean()):.3f}, "
            f"ECE {float(calibration_error(p.clamp(0, 1), right)):.3f}"
        )
    errors = all_tracks[["expected_errors", "expected_errors_true"]].sum()
    lines = [
        "# Intervals for lineages",
        "",
        " ".join((__doc__ or "").split("\n\n")[2].split()),
        "",
        f"{options.movies} movies of {N_FRAMES} frames that begin with {N_CELLS} cells. Share of intervals that "
        "hold the truth (one standard error of a share of 90 % of so many movies: "
        f"{math.sqrt(0.09 / options.movies):.3f}). Intervals of whole numbers hold more than they say, the more so "
        "the smaller the numbers are. `width` is the median over movies, or movies and frames. Written by "
        "`python -m experiments.lineage_intervals`.",
        "",
        describe_machine(),
        "",
        shares.to_markdown(index=False, floatfmt=("", "", ".1f", ".0f", ".3f", ".3f")),
        "",
        "Tracks of the same movies: " + "; ".join(sentences) + f". Expected errors along them "
        f"{errors['expected_errors']:.0f}, true ones {errors['expected_errors_true']:.0f}.",
        "",
        "Quantities: " + "; ".join(f"`{name}` {what}" for name, what in WHOLE.items()) + ".",
        "",
    ]
    write_results(options.output, "lineage_intervals", lines, {"lineage_intervals": shares.round(4)})


if __name__ == "__main__":
    main()
