"""How well are merged and split detections known? The coefficients of `merged_and_split`, on movies left out.

Masks of annotated movies get errors at three rates (`torchtrack_uq.datasets.corrupt`); distance tracker, `auto`, T = 1,
default events with links over one and two frames, and events as fits find them. A logistic model learns from them which
detections are merged or split; each movie is judged by coefficients fitted on the others. Automatic segmentations
(`experiments.automatic_masks`) are only judged.

    python -m experiments.merged_split [DATA_FOLDER]
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from common.data import data_folder
from common.results import write_results
from experiments.automatic_masks import read_segmented
from torchtrack_uq import DistanceTracker, UncertaintyLayer
from torchtrack_uq.datasets import AnnotatedMovie, CorruptionRates, corrupt, read_annotated
from torchtrack_uq.functional.calibration_error import calibration_error
from torchtrack_uq.posterior.merged_split import (
    SIDES,
    Evidence,
    merged_evidence,
    probability_of,
    sides_of,
    split_evidence,
)
from torchtrack_uq.posterior.size_coefficients import Coefficients
from torchtrack_uq.posterior.size_evidence import PAIR, Bodies, Ends

RESULTS = Path(__file__).parent / "results"
MOVIES = (
    "Fluo-N2DH-SIM+", "Fluo-C2DL-MSC", "Fluo-N2DH-GOWT1", "Fluo-N2DL-HeLa", "cell-migration", "cglutamicum",
    "cglutamicum-06min", "mouse-epidermis",
)  # fmt: skip
STRIDES = (1, 4)
MASKS = {
    "perfect": CorruptionRates(),
    "1 %": CorruptionRates(missed=0.05, merged=0.01, split=0.01, false=0.01),
    "3 %": CorruptionRates(missed=0.03, merged=0.03, split=0.03, false=0.01),
    "5 %": CorruptionRates(missed=0.05, merged=0.05, split=0.05, false=0.02),
}
FITTED = {"appear": -6.0, "disappear": -4.0, "divide": -3.0}
"""Scores of events such as fits find."""
SETTINGS = ((1, {}), (2, {}), (2, FITTED))
"""`max_gap` and events."""
ROUNDS = 3
START = Coefficients(-4.0, -3.0, (-6.0, 2.0, -2.0, 2.0, 3.0, 0.0), (-6.0, 2.0, -2.0, 2.0, 3.0, 0.0), 0.0)
NONE = (0.0,) * len(PAIR)
KINDS = ("merged", "split")


class Case(NamedTuple):
    """A movie at one stride with one kind of masks, under one setting of the tracker."""

    movie: str
    stride: int
    masks: str
    max_gap: int
    fitted: bool
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    evidence: dict[str, Evidence]
    truth: dict[str, NDArray[np.bool_]]


def annotated(
    data: Path, name: str, stride: int, wanted: Sequence[str] = (*MASKS, "automatic")
) -> Iterator[tuple[str, AnnotatedMovie]]:
    """A movie with each kind of masks that is wanted."""
    folder = data / name / "01"
    movie = read_annotated(folder, stride, use_images=False, progress=False)
    for seed, (masks, rates) in enumerate(MASKS.items()):
        if masks in wanted:
            yield masks, corrupt(movie, rates, seed)
    segmented = read_segmented(folder, name, stride, use_images=False) if "automatic" in wanted else None
    if segmented is not None:
        yield "automatic", segmented


def cases_of(name: str, stride: int, masks: str, movie: AnnotatedMovie) -> Iterator[Case]:
    """What the posteriors of all settings say."""
    cells, truth = movie.detections, movie.detection_truth()
    assert truth is not None
    for max_gap, events in SETTINGS:
        with torch.no_grad():
            p = UncertaintyLayer("auto")(DistanceTracker(max_gap=max_gap, **events).candidates(cells))
        bodies, ends = Bodies.of(cells), Ends.of(p)
        evidence = {
            "merged": merged_evidence(cells, bodies, ends),
            "split": split_evidence(cells, bodies, ends),
        }
        its = {kind: getattr(truth, kind).numpy() for kind in KINDS}
        yield Case(name, stride, masks, max_gap, bool(events), sides_of(cells, p), evidence, its)


def columns(evidence: Evidence, weights: Coefficients, before: bool, after: bool) -> NDArray[np.float64]:
    """(N, C) features of the reading of each cell that speaks most for it, as `probability_of` takes it."""
    total, chosen = np.zeros(evidence.before.shape[:2]), []
    if evidence.apart is not None:
        total += evidence.apart[..., 0] * weights.apart
        chosen.append(evidence.apart)
    for features, its, used in (
        (evidence.before, weights.before, before),
        (evidence.after, weights.after, after),
    ):
        if used:
            sums = features @ np.array(its)
            best = sums.argmax(-1)[..., None]
            total += np.take_along_axis(sums, best, -1)[..., 0]
            chosen.append(np.take_along_axis(features, best[..., None], -2)[..., 0, :])
    if before and after:
        loose = PAIR.index("loose")
        chosen.append((chosen[-1][..., loose] * chosen[-2][..., loose])[..., None])
    reading = total.argmax(-1)[:, None, None]
    return np.take_along_axis(np.concatenate(chosen, -1), reading, 1)[:, 0]


def fit(cases: list[Case], kind: str, side: str) -> Coefficients:
    """Choose readings, fit, and choose again; a movie counts as the square root of its cells."""
    before, after = SIDES[side]
    weights = START
    for _ in range(ROUNDS):
        parts, happened, weight = [], [], []
        for case in cases:
            cells = (case.sides[0] | (not before)) & (case.sides[1] | (not after))
            if cells.any():
                parts.append(columns(case.evidence[kind], weights, before, after)[cells])
                happened.append(case.truth[kind][cells])
                weight.append(np.full(cells.sum(), cells.sum() ** -0.5))
        every = np.concatenate(weight)
        model = LogisticRegression(max_iter=2000).fit(
            np.concatenate(parts), np.concatenate(happened), sample_weight=every * len(every) / every.sum()
        )
        found = [round(float(number), 3) + 0.0 for number in model.coef_[0]]
        apart = found.pop(0) if kind == "split" else 0.0
        size = len(PAIR)
        first = tuple(found[:size]) if before else NONE
        second = tuple(found[size * before : size * (before + 1)]) if after else NONE
        twice = found[-1] if before and after else 0.0
        weights = Coefficients(round(float(model.intercept_[0]), 3), apart, first, second, twice)
    return weights


def judged(case: Case, kind: str, weights: dict[str, Coefficients]) -> dict[str, object]:
    """How good the probabilities of one case are."""
    p = np.full(len(case.sides[0]), np.nan)
    for side, (before, after) in SIDES.items():
        cells = np.flatnonzero((case.sides[0] == before) & (case.sides[1] == after))
        if len(cells):
            p[cells] = probability_of(case.evidence[kind], cells, weights[side], before, after)
    known = ~np.isnan(p)
    p, happened = p[known], case.truth[kind][known]
    share, sure = happened.mean(), np.clip(p, 1e-6, 1 - 1e-6)
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share) if 0 < share < 1 else 0.0
    return {
        "kind": kind,
        "masks": case.masks,
        "movie": case.movie,
        "stride": case.stride,
        "max_gap": case.max_gap,
        "events": "fitted" if case.fitted else "default",
        "detections": len(p),
        "share": share,
        "mean p": p.mean(),
        "ECE": float(calibration_error(torch.from_numpy(p), torch.from_numpy(happened), 15)),
        "average precision": average_precision_score(happened, p) if happened.any() else np.nan,
        "log loss": -np.where(happened, np.log(sure), np.log(1 - sure)).mean(),
        "log loss of the share": entropy,
    }


def main() -> None:
    """Fit with each movie left out, judge it, and write the tables and the coefficients of all movies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    data = parser.parse_args().data
    warnings.filterwarnings("ignore", message=".*gave no room for all errors")
    cases = [
        case
        for name in MOVIES
        for stride in STRIDES
        for masks, movie in annotated(data, name, stride)
        for case in cases_of(name, stride, masks, movie)
    ]
    lessons = [case for case in cases if case.masks != "automatic"]
    rows, coefficients = [], []
    for kind in KINDS:
        for name in MOVIES:
            others = [case for case in lessons if case.movie != name]
            weights = {side: fit(others, kind, side) for side in SIDES}
            rows += [judged(case, kind, weights) for case in cases if case.movie == name]
        for side in SIDES:
            of_all = fit(lessons, kind, side)
            numbers = (of_all.intercept, of_all.apart, *of_all.before, *of_all.after, of_all.loose_twice)
            names = (
                "intercept",
                "apart",
                *(f"{n} before" for n in PAIR),
                *(f"{n} after" for n in PAIR),
                "loose twice",
            )
            coefficients.append({"kind": kind, "side": side, **dict(zip(names, numbers, strict=True))})
    table = pd.DataFrame(rows)
    numbers = ["share", "mean p", "ECE", "average precision", "log loss", "log loss of the share"]
    mean = table.groupby(["kind", "masks", "max_gap", "events"], sort=False)[numbers].mean().reset_index()
    one = table[(table["max_gap"] == 2) & (table["events"] == "default")]
    lines = (
        "# Merged and split detections on movies left out",
        "",
        "Written by `python -m experiments.merged_split`. Means over movies at every and every fourth frame:",
        "",
        mean.to_markdown(index=False, floatfmt=".3f"),
        "",
        "Each movie, links over up to two frames, default events:",
        "",
        one.drop(columns=["max_gap", "events"]).to_markdown(index=False, floatfmt=".3f"),
        "",
    )
    tables = {"merged_split": table, "merged_split_coefficients": pd.DataFrame(coefficients)}
    write_results(RESULTS, "merged_split", lines, tables, "%.4f")


if __name__ == "__main__":
    main()
