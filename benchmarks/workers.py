"""Time of `torchtrack-uq track` with one, two and four processes, and whether all of them give the same bytes.

A simulated movie that takes minutes, 60 frames of 1,000 cells on 1024 x 1024 pixels, linked by the Transformer of
this package. The cluster is one of dask on this machine, with four workers of one thread each, one of which is killed
when half of the windows have been scored.

    python -m benchmarks.workers [--cache FOLDER]
"""

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd

from benchmarks.machine import describe_machine
from benchmarks.scale import run
from common.results import write_results

RESULTS = Path(__file__).parent / "results"
MOVIE = [
    "--cells",
    "1000",
    "--frames",
    "60",
    "--steady",
    "--missed",
    "0.01",
    "--size",
    "1024,1024",
    "--motion",
    "3",
]
SCORING = "torchtrack-uq-score_share"


def results(out: Path) -> dict[str, bytes]:
    """All that does not say which command made it, and when."""
    files = [file for file in sorted(out.rglob("*")) if file.suffix in (".csv", ".tif", ".txt")]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def measure(movie: Path, out: Path, *options: str) -> dict[str, float]:
    """Seconds of one run."""
    given = [
        "-i",
        str(movie / "01"),
        "-m",
        str(movie / "01_ERR_SEG"),
        "-o",
        str(out),
        "--overwrite",
        "--quiet",
    ]
    return run("track", *given, *options)


def on_cluster(movie: Path, out: Path) -> dict[str, float]:
    """The same on a cluster that loses a worker."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None) as cluster:
        lost = next(iter(cluster.workers.values())).process.pid
        states = cluster.scheduler.tasks

        def kill_half_way() -> None:
            while True:
                shares = [task for key, task in list(states.items()) if str(key).startswith(SCORING)]
                if shares and sum(task.state == "memory" for task in shares) >= len(shares) / 2:
                    break
                time.sleep(0.05)
            os.kill(lost, signal.SIGKILL)

        killer = threading.Thread(target=kill_half_way, daemon=True)
        killer.start()
        found = measure(movie, out, "--dask", cluster.scheduler_address)
        if killer.is_alive():
            raise RuntimeError("no worker was killed: the scoring was over before half of it was seen")
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "scale_movies")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    movie = options.cache / "workers_60"
    if not movie.exists():
        options.cache.mkdir(parents=True, exist_ok=True)
        run("simulate", "-o", str(movie), *MOVIE, "--quiet")
    machine = describe_machine()
    rows: list[dict[str, object]] = []
    known: dict[str, bytes] = {}
    for name, arguments in (
        ("1", ["--workers", "1"]),
        ("2", ["--workers", "2"]),
        ("dask, 4, one killed", None),
    ):
        out = options.cache / "workers_out"
        used = on_cluster(movie, out) if arguments is None else measure(movie, out, *arguments)
        found = results(out)
        known = known or found
        rows.append(
            {"workers": name, "seconds": used["seconds"], "same_bytes": found == known, "files": len(found)}
        )
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table["times_as_fast"] = table["seconds"][0] / table["seconds"]
    page = [
        "# Workers",
        "",
        f"Written by `python -m benchmarks.workers`. {' '.join((__doc__ or '').split('    python')[0].split())}",
        "",
        machine,
        "",
        table.to_markdown(index=False, floatfmt=".3g"),
        "",
    ]
    write_results(options.output, "workers", page, {"workers": table}, "%.4g")


if __name__ == "__main__":
    main()
