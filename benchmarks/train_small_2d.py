"""Train `checkpoints/small_2d` and compare it with nearest-centroid and overlap linking.

    python benchmarks/train_small_2d.py                  # evaluate checkpoints/small_2d, write the tables
    python benchmarks/train_small_2d.py --train runs/x   # first train a model there (50 minutes)
    python benchmarks/train_small_2d.py --model FOLDER   # evaluate another Trackastra folder

All methods are judged on the same daughters: those of the last 20 % of each movie's frames, none of which the
model was trained on, at strides 1, 2, 4 and 8 and all phases of each stride. A daughter counts as right if it
gets its true mother, or none where it has none. Results: `benchmarks/results/small_2d.md` and `.csv`.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.datasets import AnnotatedMovie, CtcSequence, read_ctc_sequence
from torchtrack_uq.training import TrainingSettings, train
from torchtrack_uq.training.accuracy import HeldOutChain, LinkAccuracy, held_out_chains, predict_mothers
from torchtrack_uq.training.train import first_held_out_frame

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TORCHTRACK_UQ_DATA", ROOT.parent / "shared" / "data"))
MOVIES = (
    "Fluo-C2DL-MSC",
    "Fluo-N2DH-GOWT1",
    "Fluo-N2DH-SIM+",
    "Fluo-N2DL-HeLa",
    "cell-migration",
    "cglutamicum",
    "cglutamicum-06min",
    "mouse-epidermis",
)
STRIDES = (1, 2, 4, 8)
SETTINGS = TrainingSettings(steps=40_000, minutes=50)
RANGES = np.concatenate([np.arange(0.3, 4, 0.1), [np.inf]])

Linker = Callable[[AnnotatedMovie], NDArray[np.int64]]


def nearest(movie: AnnotatedMovie, longest: float = np.inf) -> NDArray[np.int64]:
    """The mother with the nearest centroid; none if it is farther than `longest` daughter diameters."""
    cells = movie.detections
    diameter = cells.features["equivalent_diameter_area"][:, 0]
    predicted = np.full(len(cells), -1, dtype=np.int64)
    for t in range(1, cells.n_frames):
        mothers, daughters = cells.in_frame(t - 1), cells.in_frame(t)
        if mothers.start == mothers.stop or daughters.start == daughters.stop:
            continue
        difference = cells.coords[mothers, None] - cells.coords[None, daughters]
        distance = np.sqrt((difference.astype(np.float64) ** 2).sum(axis=-1))
        near = distance.min(axis=0) <= longest * diameter[daughters]
        predicted[daughters] = np.where(near, distance.argmin(axis=0) + mothers.start, -1)
    return predicted


def largest_overlap(movie: AnnotatedMovie, masks: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    """The mother whose mask shares most pixels with the daughter's; none where there is no overlap."""
    cells = movie.detections
    predicted = np.full(len(cells), -1, dtype=np.int64)
    for t in range(1, cells.n_frames):
        after = movie.first_frame + t * cells.stride
        mother_mask, daughter_mask = masks[after - cells.stride], masks[after]
        both = (mother_mask > 0) & (daughter_mask > 0)
        labels = np.stack([daughter_mask[both], mother_mask[both]]).astype(np.int64)
        pairs, pixels = np.unique(labels, axis=1, return_counts=True)
        most = {int(pairs[0, k]): int(pairs[1, k]) for k in np.argsort(pixels, kind="stable")}
        mothers, daughters = cells.in_frame(t - 1), cells.in_frame(t)
        index = {int(label): mothers.start + i for i, label in enumerate(cells.label[mothers])}
        for j in range(daughters.start, daughters.stop):
            predicted[j] = index.get(most.get(int(cells.label[j]), 0), -1)
    return predicted


def judge(link: Linker, chains: Sequence[HeldOutChain]) -> LinkAccuracy:
    """Accuracy on the judged daughters of all chains."""
    total = LinkAccuracy()
    for chain in chains:
        total += LinkAccuracy.of(link(chain.movie), chain.movie.mother, chain.judged)
    return total


def best_ranges(movies: Sequence[AnnotatedMovie], cuts: Sequence[int]) -> dict[int, float]:
    """For each stride the search range with the best mean accuracy on the training frames of all movies."""
    best: dict[int, float] = {}
    for stride in STRIDES:
        shares = np.full((len(movies), len(RANGES)), np.nan)
        for m, (movie, cut) in enumerate(zip(movies, cuts, strict=True)):
            if cut > stride:
                seen = movie.frames(0, cut).strided(stride)
                for r, longest in enumerate(RANGES):
                    predicted = nearest(seen, longest)
                    shares[m, r] = LinkAccuracy.of(predicted, seen.mother, seen.has_target).share
        best[stride] = float(RANGES[int(np.nanmean(shares, axis=0).argmax())])
    return best


def without_intensity(movie: AnnotatedMovie) -> AnnotatedMovie:
    """The movie as it would be read without its images."""
    cells = movie.detections
    blank = {**cells.features, "intensity_mean": np.zeros_like(cells.features["intensity_mean"])}
    return replace(movie, detections=replace(cells, features=blank, has_images=False))


def compare(model_folder: Path) -> tuple[pd.DataFrame, dict[int, float]]:
    """One row per movie and stride with the accuracy of every method, and the search ranges of `nearest`."""
    from trackastra.model.model import TrackingTransformer

    model = TrackingTransformer.from_folder(model_folder, map_location="cpu")
    movies = [read_ctc_sequence(DATA / name / "01", progress=False) for name in MOVIES]
    cuts = [first_held_out_frame(movie, SETTINGS.held_out) for movie in movies]
    ranges = best_ranges(movies, cuts)
    rows = []
    for movie, cut in zip(movies, cuts, strict=True):
        masks = list(CtcSequence.find(DATA / movie.name).open_movie(use_images=False).masks)
        for stride in STRIDES:
            chains = list(held_out_chains(movie, cut, stride, model.config["window"]))
            methods: dict[str, Linker] = {
                "small_2d": partial(predict_mothers, model),
                "nearest": nearest,
                "nearest_in_range": partial(nearest, longest=ranges[stride]),
                "overlap": partial(largest_overlap, masks=masks),
            }
            if movie.detections.has_images:
                methods["small_2d_no_image"] = lambda chain: predict_mothers(model, without_intensity(chain))
            results = {name: judge(link, chains) for name, link in methods.items()}
            counted = results["nearest"]
            row = {"movie": movie.name.removesuffix("/01"), "stride": stride}
            row |= {"n_daughters": counted.n_daughters, "n_with_mother": counted.n_with_mother}
            row |= {name: accuracy.share for name, accuracy in results.items()}
            row |= {f"{name}_with_mother": accuracy.share_with_mother for name, accuracy in results.items()}
            rows.append(row)
            print(", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    return pd.DataFrame(rows), ranges


def table_row(label: str, stride: str, daughters: str, shares: pd.Series) -> str:
    """A line of the Markdown table, the best method in bold."""
    names = ("small_2d", "nearest", "nearest_in_range", "overlap")
    best = f"{max(shares[name] for name in names):.4f}"
    texts = [f"{shares[name]:.4f}" for name in names]
    texts = [f"**{text}**" if text == best else text for text in texts]
    cells = [f"{text} ({shares[f'{name}_with_mother']:.4f})" for text, name in zip(texts, names, strict=True)]
    return f"| {label} | {stride} | {daughters} | {' | '.join(cells)} |"


def as_markdown(table: pd.DataFrame, ranges: dict[int, float]) -> str:
    """The table as text, with means over movies."""
    fitted = ", ".join(f"{longest:.1f} at stride {stride}" for stride, longest in ranges.items())
    lines = [
        "# Link accuracy of `small_2d` on held-out frames",
        "",
        "Share of daughters with the right mother, or rightly none, in the last 20 % of each movie's frames,",
        "all phases of each stride; in brackets, of the daughters that truly have a mother. Written by",
        "`benchmarks/train_small_2d.py`. *nearest*: nearest centroid, always linked. *nearest in range*:",
        "none if farther than a multiple of the daughter's diameter, fitted on the training frames:",
        f"{fitted}.",
        "*overlap*: mask with the largest overlap, none where nothing overlaps. Bold: best of the row.",
        "",
        "| movie | stride | daughters | small_2d | nearest | nearest in range | overlap |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, row in table[table["n_daughters"] > 0].iterrows():
        lines.append(table_row(row["movie"], str(row["stride"]), str(row["n_daughters"]), row))
    numbers = table.drop(columns="movie")
    for strides in [*((stride,) for stride in STRIDES), (1, 2, 4)]:
        part = numbers[numbers["stride"].isin(strides)]
        text = ", ".join(map(str, strides))
        lines.append(
            table_row("**mean over movies**", text, str(int(part["n_daughters"].sum())), part.mean())
        )
    lines += ["", "The same model on the movies that have images, with and without them (all daughters):", ""]
    lines += ["| movie | stride | with image | without |", "|---|---|---|---|"]
    for _, row in table.dropna(subset=["small_2d_no_image"]).iterrows():
        shares = f"{row['small_2d']:.4f} | {row['small_2d_no_image']:.4f}"
        lines.append(f"| {row['movie']} | {row['stride']} | {shares} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--train", type=Path, metavar="FOLDER", help="train a model in FOLDER, then evaluate it"
    )
    parser.add_argument("--model", type=Path, default=ROOT / "checkpoints" / "small_2d")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "small_2d")
    args = parser.parse_args()
    if not DATA.is_dir():
        print(f"Skipped: {DATA} does not exist; set TORCHTRACK_UQ_DATA to the folder of annotated movies")
        return
    if args.train is not None:
        train([DATA / name / "01" for name in MOVIES], args.train, SETTINGS, device="cpu")
    table, ranges = compare(args.train or args.model)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.output.with_suffix(".csv"), index=False, float_format="%.5f")
    args.output.with_suffix(".md").write_text(as_markdown(table, ranges))
    print(f"Written: {args.output}.md and .csv")


if __name__ == "__main__":
    main()
