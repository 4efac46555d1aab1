"""Does a temperature that depends on the movie's context do better on movies that nobody annotated?

For every tracker and method, log T is fitted on all of each movie and stride by the study's likelihood curves.
Two predictors are then compared on each recording, fitted on all other recordings: one T for each stride (the pooled
likelihood), and log T linear in two numbers that need no annotation: the log of the median number of cells per frame,
and the log of the typical displacement over the typical distance between neighbours (0 where they move as far).
Both are judged by the NLL of the held-out recording.

    python -m experiments.context_temperature [CURVES]       # after python -m study
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from common.data import data_folder
from common.results import write_results
from study.command import RESULTS as STUDY
from study.command import cache_folder
from study.curve import GRID, Curve, best_temperature
from study.unit import Options
from study.units import METHODS, STRIDES, Unit, find_units, read_unit
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.neighbours import typical_displacement

RESULTS = Path(__file__).parent / "results"
RIDGE = 1e-2


def context(cells: Detections) -> tuple[float, float]:
    """Log of the median number of cells per frame, and of displacement over distance between neighbours."""
    counts = np.diff(cells.offsets)
    apart = []
    for t in range(cells.n_frames):
        points = cells.coords[cells.in_frame(t)]
        if len(points) > 1:
            apart.append(cKDTree(points).query(points, k=2)[0][:, 1])
    spacing = float(np.median(np.concatenate(apart))) if apart else float("nan")
    return math.log(float(np.median(counts[counts > 0]))), math.log(typical_displacement(cells) / spacing)


def nll_at(curve: Curve, log_t: float) -> float:
    """Mean nats per daughter at a temperature, or at the end of the grid that it lies beyond."""
    grid = GRID[:: curve.step]
    return curve.nll()(float(np.clip(log_t, grid[0], grid[-1])))


def predictions(table: pd.DataFrame) -> pd.DataFrame:
    """NLL of each unit at T = 1, at one T of the other recordings, at T by context, and at its own best."""
    rows = []
    for i, row in table.iterrows():
        others = table[table["recording"] != row["recording"]]
        same = others[others["stride"] == row["stride"]]
        if same.empty:
            continue
        x = others[["cells", "motion"]].to_numpy()
        x = np.column_stack([np.ones(len(x)), x])
        weight = np.minimum(others["n"].to_numpy(), 1000.0)
        gram = (x * weight[:, None]).T @ x + RIDGE * weight.sum() * np.eye(3)
        by_context = np.linalg.solve(gram, (x * weight[:, None]).T @ others["log_t"].to_numpy())
        predicted = float(by_context @ [1.0, row["cells"], row["motion"]])
        pooled = math.log(best_temperature(list(same["curve"])))
        rows.append({
            "unit": i, "T = 1": nll_at(row["curve"], 0.0), "one T per stride": nll_at(row["curve"], pooled),
            "T by context": nll_at(row["curve"], predicted), "own T": nll_at(row["curve"], row["log_t"]),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("unit")


def main() -> None:
    """Compare the two on every recording and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "curves",
        type=Path,
        nargs="?",
        default=cache_folder(STUDY, Options()) / "first",
        help="likelihood curves that the study left (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    folder = options.curves
    units: list[tuple[Unit, dict[str, dict[str, object]]]] = []
    contexts: dict[tuple[str, int], tuple[float, float]] = {}
    for unit in find_units(data_folder(), None, STRIDES):
        file = folder / f"{unit.key}.json"
        if file.is_file() and (found := json.loads(file.read_text())).get("curves"):
            units.append((unit, found["curves"]))
            if (unit.movie, unit.stride) not in contexts:
                contexts[unit.movie, unit.stride] = context(read_unit(unit).detections)
    if not units:
        raise SystemExit(f"{folder} holds no likelihood curves; run `python -m study` first")
    lines = ["# Temperature by context", "", " ".join((__doc__ or "").split("\n\n")[1].split()), ""]
    summary = []
    for tracker in sorted({unit.tracker for unit, _ in units}):
        for method in METHODS:
            rows = []
            for unit, curves in units:
                if unit.tracker == tracker and method in curves:
                    curve = Curve.from_json(curves[method])
                    cells, motion = contexts[unit.movie, unit.stride]
                    rows.append({
                        "recording": unit.recording, "stride": unit.stride, "cells": cells, "motion": motion,
                        "n": int(curve.n.sum()), "log_t": math.log(best_temperature([curve])), "curve": curve,
                    })  # fmt: skip
            if len(rows) > 3:
                found = predictions(pd.DataFrame(rows))
                better = (found["T by context"] < found["one T per stride"]).mean()
                summary.append(
                    {
                        "tracker": tracker,
                        "method": method,
                        "units": len(found),
                        **found.mean(),
                        "context better in": better,
                    }
                )
    table = pd.DataFrame(summary)
    lines += [
        table.to_markdown(index=False, floatfmt=".4f"),
        "",
        "NLL in nats per daughter, mean over movies and strides. Means over all rows: "
        + ", ".join(
            f"{name} {table[name].mean():.4f}"
            for name in ("T = 1", "one T per stride", "T by context", "own T")
        )
        + ". A recording's own T is fitted on the daughters that it is judged on here: the best that a temperature "
        "can do.",
        "",
    ]
    write_results(options.output, "context_temperature", lines, {"context_temperature": table.round(5)})


if __name__ == "__main__":
    main()
