"""The same seed gives the same tables, to the last bit, on one, two and eight threads."""

import io
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

pytestmark = pytest.mark.nightly  # a minute
THREADS = (1, 2, 8)
RUNS = """
import json, sys, warnings
import numpy as np, torch
from torchtrack_uq import UncertainTracker
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.datasets.simulator import simulate_movie
from torchtrack_uq.movies.movie import Movie

torch.set_num_threads(int(sys.argv[1]))
assert torch.get_num_threads() == int(sys.argv[1])
warnings.simplefilter("ignore")
points = simulate_movie(n_frames=4, n_cells=50, size=(130.0, 130.0), motion=4.0).detections
many = simulate_movie(n_frames=3, n_cells=4000, size=(1400.0, 1400.0), motion=3.0).detections
movie = Movie.open(*hela_example())
images = np.stack([movie.read_image(t)[400:, 800:] for t in range(4)])
masks = np.stack([movie.read_mask(t)[400:, 800:] for t in range(4)])
found = {
    "distance, auto": UncertainTracker("distance", "auto").track_detections(points, progress=False),
    "distance, FP+A": UncertainTracker("distance", "FP+A").track_detections(points, progress=False),
    "distance, auto, 12,000 cells": UncertainTracker("distance", "auto").track_detections(many, progress=False),
    "overlap, FP+A": UncertainTracker("overlap", "FP+A").track(images, masks, progress=False),
    "activity, AS": UncertainTracker("activity", "AS", max_gap=1).track(images, masks, progress=False),
    "trackastra, AS": UncertainTracker("trackastra", "AS", device="cpu").track(images, masks, progress=False),
}
tables = {
    name: [table.to_csv(index=False) for table in (result.links, result.cells, result.tracks)]
    for name, result in found.items()
}
print(json.dumps(tables))
"""
ROUNDED = {"trackastra, AS": 1e-4}
"""The transformer's matrix products, in float32, add up in an order that depends on how the threads share them."""


@pytest.fixture(scope="module")
def tables() -> dict[int, dict[str, list[str]]]:
    """Of each run: links, cells and tracks as CSV, by the number of threads."""
    found = {}
    for n in THREADS:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(n))
        done = subprocess.run(
            [sys.executable, "-c", RUNS, str(n)], env=environment, capture_output=True, text=True, check=True
        )
        found[n] = json.loads(done.stdout)
    return found


def test_every_run_found_links(tables: dict[int, dict[str, list[str]]]) -> None:
    for name, (links, cells, _) in tables[1].items():
        assert links.count("True") > 20, name
        assert cells.count("\n") > 40, name


def test_tables_are_the_same_to_the_last_bit(tables: dict[int, dict[str, list[str]]]) -> None:
    """With all digits: `repr` of every float stands in them."""
    for n in THREADS[1:]:
        differing = [name for name in tables[1] if tables[n][name] != tables[1][name] and name not in ROUNDED]
        assert not differing, f"on {n} threads"


def test_the_transformers_differ_by_rounding_only(tables: dict[int, dict[str, list[str]]]) -> None:
    for name, bound in ROUNDED.items():
        one, *others = (pd.read_csv(io.StringIO(tables[n][name][0])) for n in THREADS)
        for other in others:
            pd.testing.assert_frame_equal(other, one, rtol=bound, atol=bound)
