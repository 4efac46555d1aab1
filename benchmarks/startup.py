"""How long it takes to start: imports, the commands that answer at once, and a small run.

Each is a process of its own, run in turn; the kernels are compiled before, and how long that takes is a row as well. A
checkout other than this one is measured with `--checkout FOLDER --label before`, and stands in the same table.

    python -m benchmarks.startup [--repeats N] [--label after] [--checkout FOLDER]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from benchmarks.machine import describe_machine
from common.results import write_results

RESULTS = Path(__file__).parent / "results"
HERE = Path(__file__).parents[1]
COMMAND = "import sys; from torchtrack_uq.cli.main import main; sys.exit(main())"
FIRST = "track 360 points, kernels to compile"


def jobs(folder: Path) -> dict[str, list[str]]:
    """What is started, by name: arguments of Python."""
    points, masks = write_inputs(folder)
    track = ["track", "--points", str(points), "-o", str(folder / "out"), "--tracker", "distance"]
    return {
        "import torch": ["-c", "import torch"],
        "from torchtrack_uq import UncertainTracker": ["-c", "from torchtrack_uq import UncertainTracker"],
        "torchtrack-uq --help": ["-c", COMMAND, "--help"],
        "torchtrack-uq info MASKS": ["-c", COMMAND, "info", str(masks)],
        "track 360 points": ["-c", COMMAND, *track, "--overwrite", "--quiet"],
    }


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """Thirty points on random walks over twelve frames, and the same as masks."""
    rng = np.random.default_rng(0)
    place, rows = rng.uniform(10, 190, (30, 2)), []
    masks = np.zeros((12, 200, 200), np.uint16)
    for t in range(12):
        place = np.clip(place + rng.normal(0, 1.5, place.shape), 5, 194)
        rows.append(pd.DataFrame({"frame": t, "y": place[:, 0], "x": place[:, 1]}))
        for label, (y, x) in enumerate(place.astype(int), start=1):
            masks[t, y - 3 : y + 3, x - 3 : x + 3] = label
    points = folder / "points.csv"
    pd.concat(rows).to_csv(points, index=False)
    (folder / "masks").mkdir()
    for t, mask in enumerate(masks):
        tifffile.imwrite(folder / "masks" / f"t{t:03d}.tif", mask)
    return points, folder / "masks"


def seconds(arguments: list[str], checkout: Path, cache: Path) -> tuple[float, float]:
    """Of the processor and on the clock, of one process and of those that it waits for."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": str(cache)}
    environment["PYTHONSAFEPATH"] = "1"  # nothing from the folder that this is called in
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} failed:\n{said.decode()}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - start


def measure(checkout: Path, label: str, repeats: int) -> pd.DataFrame:
    """One row a job: median and least seconds."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started, cache = jobs(folder), folder / "cache"
        found = {FIRST: [seconds(started["track 360 points"], checkout, cache)]}
        for name, arguments in started.items():
            seconds(arguments, checkout, cache)  # fills caches of files
            found[name] = []
        for _ in range(repeats):
            for name, arguments in started.items():
                found[name].append(seconds(arguments, checkout, cache))
    rows = []
    for name, times in found.items():
        processor, clock = np.array(times).T
        row = {"label": label, "what": name, "of the processor": np.median(processor)}
        row |= {"least of it": processor.min(), "on the clock": np.median(clock), "shortest": clock.min()}
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--label", default="after", help="replaces the rows of that label (default: after)")
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    table = measure(options.checkout.resolve(), options.label, options.repeats)
    known = options.output / "startup.csv"
    if known.is_file():
        others = pd.read_csv(known)
        table = pd.concat([others[others["label"] != options.label], table])
    page = [
        "# Start-up",
        "",
        f"Written by `python -m benchmarks.startup`: medians and least of {options.repeats} processes each, in "
        "seconds. Those of the processor hardly change with what else runs on the machine; those on the clock do.",
        "",
        describe_machine(),
        "",
        table.to_markdown(index=False, floatfmt=".2f"),
        "",
    ]
    write_results(options.output, "startup", page, {"startup": table}, "%.3f")


if __name__ == "__main__":
    main()
