"""How long `torchtrack-uq track` takes against Trackastra's own greedy tracking, on the same model and movie.

Ours reads the files, measures cells, scores links, solves the MAP and writes every output, picture included;
Trackastra's is `Trackastra.track(mode="greedy")` on arrays that are already in memory, and writes nothing.

    python -m benchmarks.track [--model FOLDER] [--repeats N]
"""

import argparse
import contextlib
import io
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import torch
from laptrack import OverLapTrack
from laptrack.metric_utils import LabelOverlap

from benchmarks.machine import describe_machine
from benchmarks.timing import interleaved
from common.results import write_csv, write_results
from torchtrack_uq import Detections, Movie, OverlapTracker, TrackastraTracker, UncertainTracker
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.trackers.overlap import measure_overlaps
from torchtrack_uq.trackers.trackastra.models import bundled_models

RESULTS = Path(__file__).parent / "results"


def quiet(work: Callable[[], object]) -> Callable[[], object]:
    """The same work without its warnings and progress bars."""

    def run() -> object:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return work()

    return run


def silent(items: Iterable[object], **_: object) -> Iterable[object]:
    """In the place of a progress bar."""
    return items


def compare_tracking(model_folder: Path, repeats: int) -> pd.DataFrame:
    from torchtrack_uq.trackers.trackastra.folder import import_trackastra

    reference = import_trackastra().Trackastra.from_folder(model_folder, device="cpu")
    tracker = UncertainTracker(TrackastraTracker.from_folder(model_folder, device="cpu"), "SM")
    images_file, masks_file = hela_example()
    images, masks = tifffile.imread(images_file), tifffile.imread(masks_file)
    folder = Path(tempfile.mkdtemp())

    def ours() -> None:
        tracker.track(images_file, masks_file, progress=False).save(
            folder / "out", overwrite=True, progress=False
        )

    def ours_without_files() -> None:
        tracker.track(images_file, masks_file, progress=False)

    def theirs() -> None:
        reference.track(images, masks, mode="greedy", progbar_class=silent)

    jobs = {
        "torchtrack-uq: read, track, write all outputs": ours,
        "torchtrack-uq: read and track": ours_without_files,
        "Trackastra: greedy, in memory": theirs,
    }
    times = interleaved({name: quiet(job) for name, job in jobs.items()}, repeats)
    shutil.rmtree(folder)
    base = np.median(times["Trackastra: greedy, in memory"])
    return pd.DataFrame(
        [
            {
                "work": name,
                "seconds": np.median(t),
                "fastest": t.min(),
                "ratio to Trackastra": np.median(t) / base,
            }
            for name, t in times.items()
        ]
    )


def compare_overlaps(repeats: int) -> pd.DataFrame:
    _, masks_file = hela_example()
    masks = tifffile.imread(masks_file).astype(np.int64)
    movie = Movie.open(None, masks)
    cells = Detections.from_movie(movie, progress=False)
    pairs = measure_overlaps(movie, cells, progress=False)

    def ours() -> None:
        OverlapTracker().cost(measure_overlaps(movie, cells, progress=False))

    def our_graph() -> None:
        OverlapTracker().candidates(cells, movie, progress=False)

    def theirs() -> None:
        table = LabelOverlap(masks)
        for i, j in zip(pairs.mother, pairs.daughter, strict=True):
            table.calc_overlap(cells.frame[i], cells.label[i], cells.frame[j], cells.label[j])

    def their_tracking() -> None:
        OverLapTrack().predict_overlap_dataframe(masks)

    jobs = {
        "torchtrack-uq: overlap costs of all pairs": ours,
        "torchtrack-uq: the same as a candidate graph": our_graph,
        "laptrack: overlap table of the same pairs": theirs,
        "laptrack: overlap tracking as a whole": their_tracking,
    }
    found = interleaved({name: quiet(job) for name, job in jobs.items()}, repeats)
    times = {name: t.min() for name, t in found.items()}
    base = times["torchtrack-uq: overlap costs of all pairs"]
    return pd.DataFrame([{"work": n, "seconds": t, "times ours": t / base} for n, t in times.items()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=bundled_models().get("small_2d"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    tracking, overlaps = compare_tracking(options.model, options.repeats), compare_overlaps(options.repeats)
    page = [
        "# Tracking the demo movie",
        "",
        "Written by `python -m benchmarks.track`. 20 frames of 700 x 1100 pixels, 3271 cells; medians of "
        f"{options.repeats} interleaved runs, model `{options.model.name}`, {torch.get_num_threads()} torch threads.",
        "",
        describe_machine(),
        "",
        tracking.to_markdown(index=False, floatfmt=".2f"),
        "",
        "Overlap costs (fastest run of each):",
        "",
        overlaps.to_markdown(index=False, floatfmt=".3f"),
        "",
    ]
    write_csv(options.output / "overlap.csv", overlaps, "%.4f")
    write_results(options.output, "track", page, {"track": tracking}, "%.3f")


if __name__ == "__main__":
    main()
