"""Whether the intervals that a fit of temperature and event scores gives hold what they should.

    python -m experiments.interval_coverage [--movies 200]

Movies are drawn from the model: temperature and event scores from the distance tracker's prior (links between
consecutive frames, an average look), the truth from the posterior that they make of random scores, groups of two
mothers and three daughters far apart. Then 30 or 100 daughters, or all, are fitted to with that prior. Of the event
scores only two sums can be told apart by assignments. Writes `results/interval_coverage.md` and `.csv`.
"""

import argparse
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.machine import describe_machine
from common.results import write_results
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    EventOffsets,
    LinkTargets,
    UncertaintyLayer,
)
from torchtrack_uq.assignment import AssignmentProblem, sample
from torchtrack_uq.calibration import GaussianPrior, ScoredMovie, fit_events, movie_prior

RESULTS = Path(__file__).parent / "results"
N_GROUPS = 80
SIZES = (30, 100, 3 * N_GROUPS)
LEVELS = (0.5, 0.8, 0.95)
SUMS = {"log T": (1, 0, 0, 0), "appear + disappear": (0, 1, 1, 0), "disappear + divide": (0, 0, 1, 1)}
EVENTS = {"appear": -4.0, "disappear": 0.0, "divide": 0.0}
"""The tracker's own event scores, to which the prior's are added."""


def simulate(prior: GaussianPrior, seed: int) -> tuple[np.ndarray, ScoredMovie]:
    """(4,) what was drawn from the prior, and a movie drawn with it."""
    rng = np.random.default_rng(seed)
    while True:
        drawn = rng.multivariate_normal(prior.mean, prior.covariance)
        t = math.exp(drawn[0])
        events = {name: value / t + x for (name, value), x in zip(EVENTS.items(), drawn[1:], strict=True)}
        if events["disappear"] + events["divide"] <= 0:  # beyond, layers keep divisions at the bound
            break
    mother, daughter = np.divmod(np.arange(6), 3)
    group = np.repeat(np.arange(N_GROUPS), 6)
    mother, daughter = np.tile(mother, N_GROUPS) + 2 * group, np.tile(daughter, N_GROUPS) + 3 * group
    score = rng.normal(-2.0, 3.0, 6 * N_GROUPS)
    n_mothers, n_daughters = 2 * N_GROUPS, 3 * N_GROUPS
    problem = AssignmentProblem.build(mother, daughter, score / t, n_mothers, n_daughters, **events)
    parent = sample(problem, 1, seed=seed, tolerance=0.0)[0]
    cells = Detections.from_points(np.repeat([0, 1], [n_mothers, n_daughters]), np.zeros((5 * N_GROUPS, 2)))
    graph = CandidateGraph.from_links(cells, mother, daughter + n_mothers, torch.from_numpy(score), **EVENTS)
    truth = np.concatenate([np.full(n_mothers, -1), parent])
    targets = LinkTargets.from_mothers(torch.from_numpy(truth), graph.frame)
    return drawn, ScoredMovie(f"movie {seed}", graph, targets)


def rows_of(prior: GaussianPrior, seed: int) -> list[dict[str, object]]:
    """How many standard errors the fit is from what was drawn, by number of daughters and parameter."""
    drawn, movie = simulate(prior, seed)
    known = movie.targets.known.nonzero().squeeze(1)
    found: list[dict[str, object]] = []
    for n in SIZES:
        chosen = torch.zeros(movie.graph.n_cells, dtype=torch.bool)
        chosen[known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))[:n]]] = True
        layer = UncertaintyLayer("exact", events=EventOffsets())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certainty = fit_events(layer, [movie.only(chosen)], prior=prior).certainty
        for name, weights in SUMS.items():
            w = np.array(weights, dtype=float)
            error = math.sqrt(w @ certainty.covariance @ w)
            away = float(w @ (certainty.value - drawn))
            found.append({"movie": seed, "n": n, "parameter": name, "z": away / error, "width": error})
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--movies", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = movie_prior(DistanceTracker())
    assert found is not None
    prior = GaussianPrior(found.names, found.coefficients[0], found.covariance)
    table = pd.DataFrame([row for k in tqdm(range(options.movies)) for row in rows_of(prior, k)])
    normal = torch.distributions.Normal(0.0, 1.0)
    summary = table.groupby(["n", "parameter"], sort=False).agg(width=("width", "mean")).reset_index()
    for level in LEVELS:
        z = float(normal.icdf(torch.tensor((1 + level) / 2)))
        inside = (
            table.assign(inside=table["z"].abs() < z).groupby(["n", "parameter"], sort=False)["inside"].mean()
        )
        summary[f"{level:.0%} intervals"] = inside.to_numpy()
    noise = math.sqrt(0.8 * 0.2 / options.movies)
    lines = [
        "# Intervals for temperature and event scores",
        "",
        " ".join((__doc__ or "").split("\n\n")[2].split()),
        "",
        f"{options.movies} movies of {3 * N_GROUPS} daughters. Share of intervals that hold what the movie was drawn "
        f"with (one standard error of a share of 80 %: {noise:.3f}), and mean standard error that the fit gives. "
        "Written by `python -m experiments.interval_coverage`.",
        "",
        describe_machine(),
        "",
        summary.to_markdown(index=False, floatfmt=".3f"),
        "",
    ]
    write_results(options.output, "interval_coverage", lines, {"interval_coverage": table.round(4)})


if __name__ == "__main__":
    main()
