"""Time and memory of `torchtrack-uq track` from ten thousand cells to millions, on simulated movies.

Every run is a process of its own, whose time and largest memory the system tells. Movies are steady: 1,000 cells a
frame, more frames the more cells. *calm*: steps of a tenth of the distance between cells; *crowded*: steps of a quarter
of it, so that many links are ambiguous; *masks*: label images of 1024 x 1024 pixels, no intensities.

What was measured is kept in the cache's folder, and not measured again.

    python -m benchmarks.scale [--cells N ...] [--masks-frames N] [--cache FOLDER]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.machine import describe_machine
from common.results import kept, write_results

RESULTS = Path(__file__).parent / "results"
PER_FRAME = 1000
MOVIES = {
    "calm": ["--size", "800,800", "--motion", "2.5"],
    "crowded": ["--size", "800,800", "--motion", "6"],
    "masks": ["--size", "1024,1024", "--motion", "3"],
}
_RUN = "from torchtrack_uq.cli.main import command; command()"


def run(*arguments: str) -> dict[str, float]:
    """Seconds, processor seconds and gigabytes of one command."""
    command = [sys.executable, "-c", _RUN, *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return {
        "seconds": time.perf_counter() - start,
        "processor": used.ru_utime + used.ru_stime,
        "peak_GB": used.ru_maxrss * 1024 / 1e9,
    }


def measure(kind: str, n_frames: int, cache: Path) -> dict[str, object]:
    """One movie, made if it is not there."""
    movie, out = cache / f"{kind}_{n_frames}", cache / "out"
    if not movie.exists():
        pixels = ["--no-images"] if kind == "masks" else ["--no-images", "--no-masks"]
        size = ["--cells", str(PER_FRAME), "--frames", str(n_frames), "--steady", "--missed", "0.01"]
        run("simulate", "-o", str(movie), *size, *MOVIES[kind], *pixels, "--quiet")
    what = (
        ["-m", str(movie / "01_ERR_SEG")] if kind == "masks" else ["--points", str(movie / "detections.csv")]
    )
    found = run("track", *what, "--tracker", "distance", "-o", str(out), "--overwrite", "--quiet")
    cells = pd.read_csv(
        out / "cells.csv", usecols=["confidence", "exact", "error_bound"], dtype={"exact": "boolean"}
    )
    written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {
        "movie": kind,
        "cells": len(cells),
        "frames": n_frames,
        "doubtful": float((cells["confidence"] < 0.9).mean()),
        "proved": float(cells["exact"].dropna().mean()),
        "within_0.05": float((cells["error_bound"].dropna() <= 0.05).mean()),
        **found,
        "written_GB": written / 1e9,
    }


def plot(table: pd.DataFrame) -> Figure:
    """Time and memory against cells."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, name, label in zip(
        figure.subplots(1, 2),
        ("processor", "peak_GB"),
        ("processor seconds", "largest memory, GB"),
        strict=True,
    ):
        for kind, rows in table.groupby("movie"):
            axes.loglog(rows["cells"], rows[name], "o-", label=kind)
        axes.set(xlabel="cells", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--crowded", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--masks-frames", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "scale_movies")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    cases = [("calm", n // PER_FRAME) for n in options.cells]
    cases += [("crowded", n // PER_FRAME) for n in options.crowded]
    cases += [("masks", n) for n in options.masks_frames]
    rows = []
    for kind, n_frames in cases:
        row = kept(options.cache / f"{kind}_{n_frames}.json", partial(measure, kind, n_frames, options.cache))
        rows.append(row)
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows).sort_values(["movie", "cells"])
    what = " ".join((__doc__ or "").split("\n\n")[1].split())
    page = [
        "# Scale",
        "",
        f"Written by `python -m benchmarks.scale`. {what} ",
        "Distance tracker, method `auto`, links over up to two frames, all outputs, one process; *doubtful*: decisions "
        "below probability 0.9; *proved*: cells whose probabilities are proved right to 0.001; *within_0.05*: to 0.05.",
        "",
        describe_machine(),
        "",
        table.to_markdown(index=False, floatfmt=".3g"),
        "",
        "![time and memory](scale.png)",
        "",
    ]
    write_results(options.output, "scale", page, {"scale": table}, "%.4g")
    plot(table).savefig(options.output / "scale.png", dpi=110)


if __name__ == "__main__":
    main()
