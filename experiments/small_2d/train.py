"""Train `checkpoints/small_2d` and compare it with nearest-centroid and overlap linking.

    python -m experiments.small_2d.train                  # evaluate checkpoints/small_2d, write the tables
    python -m experiments.small_2d.train --train runs/x   # first train a model there (70 minutes)
    python -m experiments.small_2d.train --models a=FOLDER b=FOLDER --output FILE   # compare Trackastra folders

All are judged on the same daughters, at strides 1, 2, 4 and 8 and all phases of each stride: those in the last 15 %
of the frames of the movies trained on, and those of movies never seen, once in all frames and once in the last
20 % of them alone (which earlier versions of the model, trained on the first 80 % of some of these movies, had not
seen either). A daughter counts as right if it gets its true mother, or none where it has none.
Results: `experiments/results/small_2d.md` and `.csv`.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from common.data import CHECKOUT, data_folder
from common.results import write_results
from experiments.small_2d.linkers import (
    Judged,
    Linker,
    best_ranges,
    judge_linker,
    judge_model,
    largest_overlap,
    nearest,
    without_intensity,
)
from experiments.small_2d.report import STRIDES, as_markdown
from torchtrack_uq import TrackastraTracker
from torchtrack_uq.datasets import AnnotatedMovie, CtcSequence, read_ctc_sequence
from torchtrack_uq.training import TrainingSettings, train
from torchtrack_uq.training.accuracy import HeldOutChain, held_out_chains
from torchtrack_uq.training.run import first_held_out_frame

DATA = data_folder()
RESULTS = Path(__file__).parents[1] / "results"
TRAINED = ("Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa", "cell-migration", "mouse-epidermis")
NEVER_SEEN = ("Fluo-C2DL-MSC", "Fluo-N2DH-GOWT1", "cglutamicum", "cglutamicum-06min")
SETTINGS = TrainingSettings(steps=60_000, minutes=65, seed=1, held_out=0.15)
RANGES = np.concatenate([np.arange(0.3, 4, 0.1), [np.inf]])

Models = dict[str, TrackastraTracker]


def train_small_2d(folder: Path) -> Path:
    """Train the next one, with what `train` has learnt since the model in `checkpoints` was made; the run resumes."""
    return train([DATA / name / "01" for name in TRAINED], folder, SETTINGS, device="cpu")


def rows_of(
    name: str, movie: AnnotatedMovie, first: dict[str, int], models: Models, ranges: dict[int, float]
) -> list[dict[str, object]]:
    """A row a stride and part of one movie.

    Args:
        name: Its folder.
        movie: The whole movie.
        first: First frame of each part, the earliest first.
        models: By name.
        ranges: Search range of `nearest` at each stride.
    """
    masks = list(CtcSequence.find(DATA / name / "01").open_movie(use_images=False).masks)
    rows: list[dict[str, object]] = []
    for stride in STRIDES:
        window = max(tracker.config["window"] for tracker in models.values())
        chains = list(held_out_chains(movie, min(first.values()), stride, window))
        rules: dict[str, Linker] = {
            "nearest": nearest,
            "nearest_in_range": partial(nearest, longest=ranges[stride]),
            "overlap": partial(largest_overlap, masks=masks),
        }
        judged = {
            rule: Judged.concatenate([judge_linker(link, chain) for chain in chains])
            for rule, link in rules.items()
        }
        for model, tracker in models.items():
            found = [judge_model(tracker, chain, ("SM", "auto")) for chain in chains]
            for label, parts in zip((model, f"{model}_auto"), zip(*found, strict=True), strict=True):
                judged[label] = Judged.concatenate(parts)
            if movie.detections.has_images:
                blank = [HeldOutChain(without_intensity(chain.movie), chain.judged) for chain in chains]
                judged[f"{model}_no_image"] = Judged.concatenate(
                    [one for chain in blank for one in judge_model(tracker, chain, ("SM",))]
                )
        for part, frame in first.items():
            row: dict[str, object] = {"part": part, "movie": name, "stride": stride}
            counted = judged["nearest"].since(frame)
            row |= {"n_daughters": len(counted.frame), "n_with_mother": int(counted.has_mother.sum())}
            for label, found in judged.items():
                row |= found.since(frame).summary(label)
            rows.append(row)
            shares = {key: row[key] for key in row if key in judged or key.endswith("_nll")}
            print(part, name, stride, *(f"{key} {value:.4f}" for key, value in shares.items()), flush=True)
    return rows


def compare(models: Models) -> tuple[pd.DataFrame, dict[int, float]]:
    """One row per part, movie and stride with the result of every method, and the ranges of `nearest`."""
    movies = {name: read_ctc_sequence(DATA / name / "01", progress=False) for name in TRAINED + NEVER_SEEN}
    cuts = {name: first_held_out_frame(movies[name], SETTINGS.held_out) for name in TRAINED}
    ranges = best_ranges([movies[name].frames(0, cut) for name, cut in cuts.items()], STRIDES, RANGES)
    rows = []
    for name, movie in movies.items():
        if name in cuts:
            first = {"later": cuts[name]}
        else:
            first = {"unseen": 0, "unseen_last": first_held_out_frame(movie, 0.2)}
        rows += rows_of(name, movie, first, models, ranges)
    return pd.DataFrame(rows).dropna(axis="columns", how="all"), ranges


def main() -> None:
    """Train if asked, compare, write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--train", type=Path, metavar="FOLDER", help="train a model in FOLDER, then evaluate it"
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME=FOLDER",
        default=[f"small_2d={CHECKOUT / 'checkpoints' / 'small_2d'}"],
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "small_2d")
    args = parser.parse_args()
    if not DATA.is_dir():
        print(f"Skipped: {DATA} does not exist; set TORCHTRACK_UQ_DATA to the folder of annotated movies")
        return
    folders = dict(text.split("=", 1) for text in args.models)
    if args.train is not None:
        folders = {"small_2d": train_small_2d(args.train)}
    models = {name: TrackastraTracker.from_folder(folder, device="cpu") for name, folder in folders.items()}
    table, ranges = compare(models)
    name, page = args.output.name, as_markdown(table, ranges, list(models))
    write_results(args.output.parent, name, page, {name: table}, "%.5f")


if __name__ == "__main__":
    main()
