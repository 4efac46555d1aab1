"""How long the review page takes to show itself and to take a decision, for movies of 10,000 and 100,000 cells.

Points on random walks, so dense that a quarter of them are doubtful; some are missed, some divide. What the page asks
for is asked of its server in this process, with nothing but the network left out.

    python -m benchmarks.review_page [--repeats N]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from starlette.testclient import TestClient

from benchmarks.machine import describe_machine
from common.results import write_results
from torchtrack_uq import TrackingResult, UncertainTracker
from torchtrack_uq.results.state import FILE
from torchtrack_uq.review.server import make_app
from torchtrack_uq.review.session import ReviewSession

RESULTS = Path(__file__).parent / "results"
N_FRAMES = 100
SPACE = 30.0  # pixels along an edge of the square that each cell has
STEP = 3.0


def crowded_movie(n_cells: int, seed: int = 0) -> pd.DataFrame:
    """A table of points with about that many rows."""
    rng = np.random.default_rng(seed)
    n = n_cells // N_FRAMES
    place, rows = rng.uniform(0, SPACE * n**0.5, (n, 2)), []
    for t in range(N_FRAMES):
        place = place + rng.normal(0, STEP, place.shape)
        place = place[rng.random(len(place)) > 0.003]
        mothers = place[rng.random(len(place)) < 0.003]
        place = np.concatenate([place, mothers + rng.normal(0, STEP, mothers.shape)])
        seen = place[rng.random(len(place)) > 0.01]
        rows.append(pd.DataFrame({"frame": t, "y": seen[:, 0], "x": seen[:, 1]}))
    return pd.concat(rows)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def measure(result: TrackingResult, folder: Path, repeats: int) -> pd.DataFrame:
    """One row a piece of work: median seconds."""
    (folder / FILE).write_bytes(result.state())
    found: dict[str, list[tuple[float, float]]] = {}

    def note(work: str, do: Callable[[], object]) -> None:
        found.setdefault(work, []).append(timed(do))

    for _ in range(repeats):
        (folder / "decisions.csv").unlink(missing_ok=True)
        note("open the result", lambda: ReviewSession.open(folder))
        session = ReviewSession.open(folder)
        with TestClient(make_app(session, "token"), base_url="http://127.0.0.1") as client:
            client.get("/?token=token").raise_for_status()

            def ask(address: str, client: TestClient = client) -> None:
                client.get(address).raise_for_status()

            row = session.queue.iloc[0]
            cell = f"{row['frame']}/{row['label']}"
            page = [f"/{name}" for name in ("page.html", "page.css", "page.js", "api/about", "api/progress")]
            page += ["/api/queue?n=200", f"/api/question/{cell}"]
            panels = ["/api/map", f"/api/family/{cell}", "/api/rest"]
            note("first view: page, queue, question", lambda page=page: [ask(one) for one in page])
            note("then: map, family, promise", lambda panels=panels: [ask(one) for one in panels])
            for k in range(3):
                row = session.queue.iloc[k]
                body = {"frame": int(row["frame"]), "label": int(row["label"]), "verdict": "none"}
                note("a decision", lambda body=body: client.post("/api/decide", json=body).raise_for_status())
            note("next question", lambda page=page: [ask(one) for one in page[-2:]])
    return pd.DataFrame(
        [
            {
                "cells": len(result.detections),
                "doubtful": len(session.queue),
                "work": work,
                "seconds": np.median([clock for clock, _ in times]),
                "fastest": min(clock for clock, _ in times),
                "of the processor": np.median([processor for _, processor in times]),
            }
            for work, times in found.items()
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    tables = []
    for n_cells in options.cells:
        result = UncertainTracker("distance").track_points(crowded_movie(n_cells), progress=False)
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(result, Path(folder), options.repeats))
    table = pd.concat(tables)
    page = [
        "# The review page",
        "",
        f"Written by `python -m benchmarks.review_page`. Simulated points in {N_FRAMES} frames, distance tracker, "
        f"medians of {options.repeats} sessions of 3 decisions each, kernels loaded before. Seconds on the clock hold "
        "what else ran on the machine meanwhile; those of the processor do not.",
        "",
        describe_machine(),
        "",
        table.to_markdown(index=False, floatfmt=".3f"),
        "",
    ]
    write_results(options.output, "review_page", page, {"review_page": table}, "%.3f")


if __name__ == "__main__":
    main()
