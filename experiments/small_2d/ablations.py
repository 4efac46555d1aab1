"""What training small_2d on simulated windows, through the layer and with event heads is worth, on a small scale.

    python -m experiments.small_2d.ablations [DATA] [--runs FOLDER] [-o FOLDER]

Every model is trained for the same small number of steps, with the same seed, and judged on the frames that are held
out of the movies trained on (nothing here looks at movies never seen). Runs resume: what is finished is not computed
again. About three hours on one core.
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common.data import CHECKOUT, data_folder
from common.results import kept, write_results
from experiments.event_model import rates_at, with_errors
from experiments.small_2d.train import TRAINED
from torchtrack_uq import TrackastraTracker, UncertaintyLayer
from torchtrack_uq.datasets import AnnotatedMovie, read_ctc_sequence
from torchtrack_uq.metrics import summarise
from torchtrack_uq.training import FineTuningSettings, TrainingSettings, fine_tune, train
from torchtrack_uq.training.run import first_held_out_frame
from torchtrack_uq.truth import judge

RESULTS = Path(__file__).parents[1] / "results"
SCRATCH = TrainingSettings(steps=1500, held_out=0.15, seed=2, validate_every=500)
TUNED = FineTuningSettings(
    steps=500, held_out=0.15, seed=2, validate_every=250, max_gap=2, simulated=0.5, learning_rate=1e-4
)
EVENTS = replace(TUNED, train="events", learning_rate=2e-3)
STRIDES = (1, 2, 4)
JUDGED_GAP = 2
SHOWN = ("accuracy", "nll", "ece")


def runs(data: Path, folder: Path) -> dict[str, Callable[[], Path]]:
    """What is trained, by what the table calls it."""
    movies = [data / name / "01" for name in TRAINED]

    def scratch(name: str, share: float) -> Callable[[], Path]:
        return lambda: train(movies, folder / name, replace(SCRATCH, simulated=share), device="cpu")

    def tuned(name: str, settings: FineTuningSettings) -> Callable[[], Path]:
        return lambda: fine_tune(movies, folder / "abl_0.5", folder / name, settings, device="cpu")

    return {
        "real windows only": scratch("abl_0.0", 0.0),
        "half simulated": scratch("abl_0.5", 0.5),
        "simulated only": scratch("abl_1.0", 1.0),
        "half simulated, then by daughters": tuned("abl_daughters", replace(TUNED, loss="daughters")),
        "half simulated, then jointly": tuned("abl_joint", TUNED),
        "half simulated, then event heads": tuned("abl_events", EVENTS),
    }


@torch.no_grad()
def judged(model: Path, movies: dict[str, AnnotatedMovie], keep: Path) -> list[dict[str, object]]:
    """Rows of the held-out frames of every movie, as annotated and with 5 % of the cells missed."""
    tracker = TrackastraTracker.from_folder(model, device="cpu", max_gap=JUDGED_GAP)
    layer = UncertaintyLayer("auto")

    def row(name: str, stride: int, rate: float) -> dict[str, object]:
        movie = movies[name]
        first = first_held_out_frame(movie, SCRATCH.held_out)
        part = movie.frames(first, movie.detections.n_frames).strided(stride)
        if rate:
            part = with_errors(part, points=False, rates=rates_at(rate))
        if part.detections.n_frames < JUDGED_GAP + 1:
            return {}
        graph = tracker.candidates(part.detections, part.movie, progress=False)
        found = summarise([judge(layer(graph), part.targets(JUDGED_GAP))])
        return {"movie": name, "stride": stride, "rate": rate, **{key: found[key] for key in SHOWN}}

    def every() -> list[dict[str, object]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [row(name, stride, rate) for name in movies for stride in STRIDES for rate in (0.0, 0.05)]
        return [one for one in found if one]

    return kept(keep, every)


def page(table: pd.DataFrame) -> list[str]:
    """Means over movies and strides."""
    means = table.groupby(["rate", "model"], sort=False)[list(SHOWN)].mean().reset_index()
    means = means.sort_values("rate", kind="stable")
    return [
        "# Training small_2d: what each part is worth",
        "",
        " ".join((__doc__ or "").split("\n\n")[2].split()),
        "",
        f"From scratch {SCRATCH.steps} steps, through the layer {TUNED.steps} more; means over the "
        f"{table['movie'].nunique()} movies that hold out enough frames, at strides {', '.join(map(str, STRIDES))}; "
        f"links over up to {JUDGED_GAP} frames, auto at T = 1 with the tracker's own event scores. Rate: share of "
        "missed cells. One run each: differences of a few thousandths are chance.",
        "",
        means.to_markdown(index=False, floatfmt=".4f"),
        "",
    ]


def main() -> None:
    """Train what is not trained yet, judge, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("--runs", type=Path, default=CHECKOUT / ".cache" / "ablations", help="keeps the runs")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    movies = {name: read_ctc_sequence(options.data / name / "01", progress=False) for name in TRAINED}
    rows: list[dict[str, object]] = []
    for name, make in runs(options.data, options.runs).items():
        folder = make()
        rows += [
            {"model": name, **one}
            for one in judged(folder, movies, folder.parent / f"{folder.name}.judged.json")
        ]
    table = pd.DataFrame(rows)
    assert np.isfinite(table[list(SHOWN)].to_numpy()).all()
    write_results(options.output, "small_2d_ablations", page(table), {"small_2d_ablations": table.round(5)})


if __name__ == "__main__":
    main()
