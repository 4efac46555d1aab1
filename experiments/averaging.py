"""Which average over windows calibrates better: of logits or of probabilities?

For every annotated movie and stride, `TrackastraTracker` with the bundled model scores the held-out frames under
both averages; the parental softmax at T = 1 is judged by daughter-wise NLL, top-label ECE and accuracy, null
class included.

    python -m experiments.averaging [DATA]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_calibration_error

from benchmarks.machine import describe_machine
from common.data import data_folder
from common.results import write_results
from torchtrack_uq import ParentalSoftmax, TrackastraTracker
from torchtrack_uq.datasets import AnnotatedMovie, read_ctc_sequence
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.trackers.trackastra.models import bundled_models
from torchtrack_uq.training.run import first_held_out_frame

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 0.2


def judge(p: LinkProbabilities, true_mother: NDArray[np.int64]) -> dict[str, float]:
    """NLL, ECE (15 bins, L1) and accuracy over all daughters."""
    graph = p.graph
    truth = torch.from_numpy(true_mother)
    right = graph.mother == truth[graph.daughter]
    log_true = torch.where(truth < 0, p.log_null, torch.full_like(p.log_null, -torch.inf))
    log_true[graph.daughter[right]] = p.log_link[right]
    best = torch.full_like(truth, -1)
    order = torch.argsort(p.log_link)
    best[graph.daughter[order]] = graph.mother[order]
    best[p.confidence <= p.null] = -1
    day = graph.is_daughter
    correct = (best == truth)[day]
    return {
        "daughters": int(day.sum()),
        "accuracy": float(correct.float().mean()),
        "NLL": float(-log_true[day].clamp(min=np.log(1e-6)).mean()),
        "ECE": float(binary_calibration_error(p.confidence[day], correct.int(), n_bins=15, norm="l1")),
    }


def held_out_part(movie: AnnotatedMovie) -> AnnotatedMovie:
    """The last frames, which the bundled model was not trained on."""
    return movie.frames(first_held_out_frame(movie, HELD_OUT), movie.detections.n_frames)


@torch.no_grad()
def main() -> None:
    """Judge both averages on every movie with masks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    folder = bundled_models()["small_2d"]
    rows = []
    for path in sorted(options.data.glob("*/01_GT")):
        if not (path / "TRA" / "man_track000.tif").exists():
            continue
        movie = held_out_part(read_ctc_sequence(path.parent / "01", progress=False))
        for stride in (1, 2, 4):
            part = movie.strided(stride)
            for average in ("logits", "probabilities"):
                tracker = TrackastraTracker.from_folder(folder, device="cpu", average=average)
                p = ParentalSoftmax()(tracker.candidates(part.detections, progress=False))
                rows.append(
                    {"movie": path.parent.name, "stride": stride, "average": average, **judge(p, part.mother)}
                )
    table = pd.DataFrame(rows)
    mean = table.groupby(["stride", "average"])[["accuracy", "NLL", "ECE"]].mean().reset_index()
    page = [
        "# Averaging logits or probabilities over windows",
        "",
        "Written by `python -m experiments.averaging`: means over movies (held-out frames, model `small_2d`, T = 1). "
        "Per movie in `averaging.csv`.",
        "",
        describe_machine(),
        "",
        mean.to_markdown(index=False, floatfmt=".4f"),
        "",
    ]
    write_results(options.output, "averaging", page, {"averaging": table}, "%.4f")


if __name__ == "__main__":
    main()
