"""Are p_false and p_missed calibrated on masks with errors, and does a plain recalibration of p_false carry over?

Distance tracker, `auto`, T = 1, events as they are by default and as fits find them, links over one and two frames; the
masks of `experiments.merged_split`. The recalibration is a logistic model of the logit of p_false, the logarithm of the
cell's size over its movie's median, and closeness to the border, fitted on all other movies with errors made on
purpose.

    python -m experiments.false_cells [DATA_FOLDER]
"""

import argparse
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from common.data import data_folder
from common.results import write_results
from experiments.merged_split import FITTED, MOVIES, STRIDES, annotated
from torchtrack_uq import DistanceTracker, UncertaintyLayer
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.functional.calibration_error import calibration_error
from torchtrack_uq.posterior.false_cells import false_cells
from torchtrack_uq.truth import judge_events

RESULTS = Path(__file__).parent / "results"
JUDGED = ("1 %", "automatic")
SETTINGS = {(gap, name): events for gap in (1, 2) for name, events in (("default", {}), ("fitted", FITTED))}


class Case(NamedTuple):
    """One movie at one stride with one kind of masks, under one setting."""

    row: dict[str, object]
    p: NDArray[np.float64]
    false: NDArray[np.bool_]
    covariates: NDArray[np.float64]


def ece(p: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Of yes/no events, 15 bins."""
    return float(calibration_error(torch.from_numpy(p), torch.from_numpy(happened), 15))


@torch.no_grad()
def case_of(name: str, stride: int, masks: str, movie: AnnotatedMovie, max_gap: int, events: str) -> Case:
    """What the posterior says of the detections that are no cells."""
    cells, truth = movie.detections, movie.detection_truth()
    assert truth is not None
    graph = DistanceTracker(max_gap=max_gap, **SETTINGS[max_gap, events]).candidates(cells)
    layer = UncertaintyLayer("auto")
    probabilities = layer(graph)
    p = false_cells(probabilities, layer.tempered(graph))[0].numpy()
    missed = judge_events(probabilities, movie.targets(max_gap)).get("missed")
    known = ~np.isnan(p)
    size = np.log(np.maximum(cells.features["equivalent_diameter_area"][:, 0], 1e-6)).astype(np.float64)
    logit = np.log(np.clip(p, 1e-6, 1 - 1e-6)) - np.log1p(-np.clip(p, 1e-6, 1 - 1e-6))
    covariates = np.stack([logit, size - np.median(size), cells.features["border_dist"][:, 0]], 1)
    row = {
        "masks": masks,
        "movie": name,
        "stride": stride,
        "max_gap": max_gap,
        "events": events,
        "detections": int(known.sum()),
        "false": float(truth.false.numpy()[known].mean()),
        "mean p": float(p[known].mean()),
        "ECE false": ece(p[known], truth.false.numpy()[known]),
        "ECE missed": np.nan if missed is None else ece(missed.probability.numpy(), missed.happened.numpy()),
    }
    return Case(row, p[known], truth.false.numpy()[known], covariates[known])


def recalibrated(case: Case, others: list[Case]) -> float:
    """ECE of the logistic model that all other movies give, each counting as the square root of its cells."""
    weight = np.concatenate([np.full(len(other.p), len(other.p) ** -0.5) for other in others])
    model = LogisticRegression(max_iter=1000).fit(
        np.concatenate([other.covariates for other in others]),
        np.concatenate([other.false for other in others]),
        sample_weight=weight * len(weight) / weight.sum(),
    )
    return ece(model.predict_proba(case.covariates)[:, 1], case.false)


def main() -> None:
    """Judge every movie, recalibrate it by the others, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    data = parser.parse_args().data
    warnings.filterwarnings("ignore", message=".*gave no room for all errors")
    cases = [
        case_of(name, stride, masks, movie, max_gap, events)
        for name in MOVIES
        for stride in STRIDES
        for masks, movie in annotated(data, name, stride, JUDGED)
        for max_gap, events in SETTINGS
    ]
    same = ("max_gap", "events")
    for case in cases:
        others = [
            other
            for other in cases
            if other.row["movie"] != case.row["movie"]
            and all(other.row[key] == case.row[key] for key in same)
        ]
        case.row["ECE false, recalibrated"] = recalibrated(case, others)
    table = pd.DataFrame([case.row for case in cases])
    lines = (
        "# Probabilities of detections that are no cells, and of cells missed before",
        "",
        "Written by `python -m experiments.false_cells`: 5 % missed, 1 % merged, split and made up; and "
        "automatic masks.",
        "",
        table.to_markdown(index=False, floatfmt=".3f"),
        "",
        "What a threshold takes for a cell frame after frame (specks and walls of the chamber in Fluo-C2DL-MSC "
        "and cglutamicum-06min) forms tracks. The posterior knows detections by their tracks, and cannot tell "
        "it from cells.",
        "",
    )
    write_results(RESULTS, "false_cells", lines, {"false_cells": table}, "%.4f")


if __name__ == "__main__":
    main()
