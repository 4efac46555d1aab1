"""Train `checkpoints/small_3d` and compare it with distance linking on embryos that it never saw.

    python -m experiments.small_3d [DATA] --train runs/small_3d     # hours; the run resumes
    python -m experiments.small_3d [DATA] --model FOLDER [-o FOLDER]

Trained on two ascidian embryos (points, CC-BY 4.0) and on simulated cells, with features and without. Both trackers get
temperature and event scores of the same kind, fitted to the frames of these two that were held out of the training,
stride by stride; the distance tracker estimates its scale from each movie, once as it is and once with the motion that
neighbours have in common taken out, as small_3d does. Judged are all frames of the others.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from common.data import CHECKOUT, data_folder
from common.results import kept, write_results
from experiments.prior.units import middle_frames
from torchtrack_uq import TrackastraTracker, UncertaintyLayer
from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.datasets import AnnotatedMovie, read_annotated
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers import DistanceTracker
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.training import TrainingSettings, train
from torchtrack_uq.training.run import first_held_out_frame
from torchtrack_uq.truth import judge

RESULTS = Path(__file__).parent / "results"
TRAINED = ("ascidian-Pm02", "ascidian-Pm03")
SETTINGS = TrainingSettings(
    ndim=3,
    points=0.5,
    simulated=0.4,
    max_cells=320,
    batch_size=4,
    steps=200_000,
    minutes=300,
    held_out=0.15,
    seed=1,
    validate_every=500,
)
STRIDES = (1, 2, 4, 8)
MAX_GAP = 2
MOST_CELLS = 6000
"""Of a movie at every stride, around its middle: sums of embryos take long."""
SHOWN = ("accuracy", "nll", "ece")


def scored(tracker: Tracker, movie: AnnotatedMovie) -> ScoredMovie:
    """Links over gaps and the truth."""
    with torch.no_grad():
        graph = tracker.candidates(movie.detections, movie.movie, progress=False)
    return ScoredMovie(movie.name, graph, movie.targets(MAX_GAP))


def fitted(tracker: Tracker, movies: list[AnnotatedMovie], stride: int) -> UncertaintyLayer:
    """Temperature and event scores of the held-out frames of the movies trained on."""
    parts = []
    for movie in movies:
        first = first_held_out_frame(movie, SETTINGS.held_out)
        parts.append(scored(tracker, movie.frames(first, movie.detections.n_frames).strided(stride)))
    layer = UncertaintyLayer("auto", events=EventOffsets())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_events(layer, parts)
    return layer


def rows(data: Path, model: Path, cache: Path) -> Iterator[dict[str, object]]:
    """A row a movie, stride and tracker; those of the distance tracker are kept."""
    names = sorted(
        folder.name for folder in data.iterdir() if folder.name.startswith(("ascidian", "celegans"))
    )
    trained = [read_annotated(data / name, progress=False) for name in TRAINED]
    trackers: dict[str, Tracker] = {
        "distance": DistanceTracker(max_gap=MAX_GAP),
        "distance, common motion": DistanceTracker(max_gap=MAX_GAP, without_common_motion=True),
        "small_3d": TrackastraTracker.from_folder(model, device="cpu", max_gap=MAX_GAP),
    }
    for stride in STRIDES:
        layers = {name: fitted(tracker, trained, stride) for name, tracker in trackers.items()}
        for name in names:
            if name in TRAINED:
                continue
            movie = middle_frames(read_annotated(data / name, progress=False).strided(stride), MOST_CELLS)
            for which, tracker in trackers.items():

                def one(
                    tracker: Tracker = tracker,
                    movie: AnnotatedMovie = movie,
                    layer: UncertaintyLayer = layers[which],
                ) -> dict[str, float]:
                    with torch.no_grad(), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        part = scored(tracker, movie)
                        found = summarise([judge(layer(part.graph), part.targets)])
                    return {key: found[key] for key in ("n_daughters", *SHOWN)}

                file = cache / f"{name}_{stride}_{which}.json"
                if which == "small_3d":
                    file.unlink(missing_ok=True)
                row = {"movie": name, "stride": stride, "tracker": which, **kept(file, one)}
                print(json.dumps(row), flush=True)
                yield row


def page(table: pd.DataFrame) -> list[str]:
    """Means, and every movie."""
    table = table.assign(errors=1 - table["accuracy"])
    means = table.groupby(["stride", "tracker"])[[*SHOWN, "errors"]].mean().unstack("tracker")
    left = means["errors", "small_3d"] / means["errors", "distance"]
    fairer = means["errors", "small_3d"] / means["errors", "distance, common motion"]
    shown = pd.DataFrame(
        {
            "errors left": left,
            "errors left, common motion": fairer,
            **{f"{a} {b}": means[a, b] for a, b in means.columns if a in SHOWN},
        }
    )
    each = table.pivot(index=["movie", "stride"], columns="tracker", values="accuracy").reset_index()
    return [
        "# small_3d on embryos that it never saw",
        "",
        " ".join((__doc__ or "").split("\n\n")[2].split()),
        "",
        "Means over movies; *errors left*: wrong decisions of small_3d per wrong one of the distance tracker, as it is "
        "and with common motion taken out.",
        "",
        shown.reset_index().to_markdown(index=False, floatfmt=".4f"),
        "",
        "Accuracy of each movie:",
        "",
        each.to_markdown(index=False, floatfmt=".4f"),
        "",
    ]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="train a model there, then judge it")
    parser.add_argument("--model", type=Path, default=CHECKOUT / "checkpoints" / "small_3d")
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "small_3d")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = options.model
    if options.train is not None:
        model = train([options.data / name for name in TRAINED], options.train, SETTINGS, device="cpu")
    table = pd.DataFrame(rows(options.data, model, options.cache))
    write_results(options.output, "small_3d", page(table), {"small_3d": table.round(5)})


if __name__ == "__main__":
    main()
