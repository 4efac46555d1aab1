"""Fit the temperatures that ship with `checkpoints/small_2d`, one for each method, at every frame (stride 1).

Judged are daughters that the model was not trained on: all of the movies that it never saw, and the last frames of
those that it saw, from `first_held_out_frame` in its `train_config.yaml` on. The recording "cglutamicum" counts once,
at 6 minutes a frame, where images exist.

    python benchmarks/fit_small_2d.py [DATA]
"""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import torch
import yaml

from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.calibration import Calibration, CalibrationWarning, fingerprint, fit_temperature
from torchtrack_uq.calibration.movies import read_annotated, score_movie
from torchtrack_uq.checkpoints import load_model
from torchtrack_uq.trackers.identity import tracker_identity

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "checkpoints" / "small_2d"
MOVIES = (
    "Fluo-C2DL-MSC",
    "Fluo-N2DH-GOWT1",
    "Fluo-N2DH-SIM+",
    "Fluo-N2DL-HeLa",
    "cell-migration",
    "cglutamicum-06min",
    "mouse-epidermis",
)
METHODS = ("SM", "FP", "FP+A", "AS", "exact", "auto", "bp")


def main() -> None:
    """Score every movie once without and once with noise; fit; write the files."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    config = yaml.safe_load((MODEL / "train_config.yaml").read_text())
    first = dict(zip(config["movies"], config["first_held_out_frame"], strict=True))
    tracker = load_model("small_2d", "cpu")
    plain, noisy = [], []
    for name in MOVIES:
        annotated, _ = read_annotated(data / name / "01", progress=False)
        context = min(first.get(annotated.name, 0), tracker.config["window"] - 1)
        start = first.get(annotated.name, 0) - context
        unseen = annotated.frames(start, annotated.detections.n_frames)
        for found, method in ((plain, "SM"), (noisy, "FP")):
            scored = score_movie(unseen, None, tracker, UncertaintyLayer(method), progress=False)
            found.append(scored.only(scored.graph.frame >= context))
        print(f"{name}: {plain[-1].targets.n_judged} daughters", flush=True)
    warnings.simplefilter("always", CalibrationWarning)
    for method in METHODS:
        # exact refuses crowded frame pairs; where it does not, auto is exact
        layer = UncertaintyLayer("auto" if method == "exact" else method)
        movies = [replace(movie, solved=None) for movie in (noisy if method.startswith("FP") else plain)]
        with torch.no_grad():
            found = fit_temperature(layer, movies)
        calibration = Calibration(
            temperature=round(found.temperature, 6),
            method=method,
            tracker=tracker_identity(tracker),
            n_daughters=found.n_daughters,
            nll_before=round(found.nll_before, 6),
            nll_after=round(found.nll_after, 6),
            prior_width=1.0,
            movies=[movie.name for movie in movies],
            fingerprint=fingerprint(movies),
        )
        calibration.save(MODEL / "calibration" / f"{method}.json")
        print(
            f"{method}: T = {found.temperature:.3f}, NLL {found.nll_before:.4f} -> {found.nll_after:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
