"""Fit the temperatures that ship with `checkpoints/small_2d`, one for each method, at every frame (stride 1).

Judged are daughters that the model was not trained on: all of the movies that it never saw, and the last frames of
those that it saw, from `first_held_out_frame` in its `train_config.yaml` on. The recording "cglutamicum" counts once,
at 6 minutes a frame, where images exist. As with `torchtrack-uq fit`, T = 1 is kept where that is as good on movies
that are left out of the fit. Links are between consecutive frames, and event scores the model's own: fitted ones are
worse on movies left out than what `track` does without a calibration (`experiments.small_2d.judge_events`).

    python -m experiments.small_2d.fit [DATA] [-o FOLDER]
"""

import argparse
import warnings
from pathlib import Path

import torch
import yaml

from common.data import CHECKOUT, data_folder
from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.calibration import (
    Calibration,
    CalibrationWarning,
    ScoredMovie,
    TemperatureFit,
    fingerprint,
    fit_temperature,
    score_movie,
)
from torchtrack_uq.datasets import read_annotated
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.trackastra.models import load_model
from torchtrack_uq.training.accuracy import held_out_chains

MODEL = CHECKOUT / "checkpoints" / "small_2d"
MOVIES = (
    "Fluo-C2DL-MSC",
    "Fluo-N2DH-GOWT1",
    "Fluo-N2DH-SIM+",
    "Fluo-N2DL-HeLa",
    "cell-migration",
    "cglutamicum-06min",
    "mouse-epidermis",
)


def held_out_movies(data: Path, method: str = "SM", *, max_gap: int = 1) -> dict[str, ScoredMovie]:
    """Movies by name, with the truth of those daughters that the model was not trained on.

    Args:
        data: Folder of annotated movies.
        method: Whose scores: with noise ("FP") or without.
        max_gap: How many frames links may span.
    """
    config = yaml.safe_load((MODEL / "train_config.yaml").read_text())
    first = dict(zip(config["movies"], config["first_held_out_frame"], strict=True))
    tracker = load_model("small_2d", "cpu", max_gap=max_gap)
    found = {}
    for name in MOVIES:
        annotated = read_annotated(data / name / "01", progress=False)
        (chain,) = held_out_chains(annotated, first.get(annotated.name, 0), 1, tracker.config["window"])
        scored = score_movie(chain.movie, tracker, UncertaintyLayer(method), progress=False)
        found[name] = scored.only(torch.from_numpy(chain.judged))
        print(f"{name}, {method}: {found[name].targets.n_judged} daughters", flush=True)
    return found


def main() -> None:
    """Score every movie once without and once with noise; fit; write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("-o", "--output", type=Path, default=MODEL / "calibration")
    options = parser.parse_args()
    tracker = load_model("small_2d", "cpu")
    plain, noisy = (list(held_out_movies(options.data, method).values()) for method in ("SM", "FP"))
    warnings.simplefilter("always", CalibrationWarning)
    fits: dict[str, TemperatureFit] = {}
    for method in METHODS:
        movies = noisy if method.startswith("FP") else plain
        fitted = "auto" if method == "exact" else method  # exact refuses crowded frame pairs
        if fitted not in fits:
            fits[fitted] = fit_temperature(UncertaintyLayer(fitted), movies, cautious=True)
        found = fits[fitted]
        # not describe_fit: it would add calibration errors and counts for review, which these files do not promise,
        # and judge "exact" anew, which refuses crowded frame pairs
        calibration = Calibration(
            temperature=round(found.temperature, 6),
            method=method,
            tracker=tracker_identity(tracker),
            n_daughters=found.n_daughters,
            nll_before=round(found.nll_before, 6),
            nll_after=round(found.nll_after, 6),
            prior_width=found.prior_width,
            movies=[movie.name for movie in movies],
            fingerprint=fingerprint(movies),
        )
        calibration.save(options.output / f"{method}.json")
        print(
            f"{method}: T = {found.temperature:.3f}, NLL {found.nll_before:.4f} -> {found.nll_after:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
