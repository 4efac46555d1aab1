"""What every method says of a case, held against the truth: one row a method and largest gap."""

import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from experiments.imperfect.units import GAPS, Case, score_case
from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.calibration.event_fit import fit_events
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.metrics import summarise
from torchtrack_uq.posterior.false_cells import false_cells
from torchtrack_uq.truth.detection_truth import judge_detections
from torchtrack_uq.truth.judged import judge, judge_events

METHODS = ("SM", "AS", "auto")
FITTED = "auto + events"
"""T and all event scores fitted on other recordings at the same stride, with `FITTED_AT` of their cells missing."""
FITTED_AT = 0.02
SHOWN = (
    "n_daughters", "n_after_gap", "accuracy", "accuracy_after_gap", "nll", "ece", "ece_missed", "ece_false",
)  # fmt: skip
STEPS = 20


def rows_of(
    case: Case, cache: Path, layers: Mapping[tuple[str, int], UncertaintyLayer]
) -> list[dict[str, object]]:
    """A row for each of the layers, which are named by method and largest gap."""
    scored = score_case(case, cache)
    return [
        {
            "movie": case.unit.movie,
            "stride": case.unit.stride,
            "tracker": case.unit.tracker,
            "errors": case.errors,
            "max_gap": gap,
            "method": method,
            **judge_layer(layer, scored[gap]),
        }
        for (method, gap), layer in layers.items()
    ]


def plain_layers() -> dict[tuple[str, int], UncertaintyLayer]:
    """Every method as it is without any annotation."""
    return {(method, gap): UncertaintyLayer(method) for method in METHODS for gap in GAPS}


@torch.no_grad()
def judge_layer(layer: UncertaintyLayer, movie: ScoredMovie) -> dict[str, float]:
    """The metrics that are shown; that of made-up cells by the method that sums over all assignments alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of AS, that its list covers little: that is what is measured
        p = layer(movie.scores)
    events = judge_events(p, movie.targets)
    if layer.method == "auto" and movie.detection_truth is not None and movie.detection_truth.known.any():
        false, _ = false_cells(p, layer.tempered(movie.graph), tolerance=0.01)
        events |= judge_detections({"false": false}, movie.detection_truth, movie.graph.frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of movies without a single cell that was missed
        found = summarise(judge(p, movie.targets), events)
    return {name: found.get(name, math.nan) for name in SHOWN}


def fitted_layers(others: Iterable[Case], cache: Path) -> dict[tuple[str, int], UncertaintyLayer]:
    """T and event scores of other recordings, by largest gap; none where nothing can be fitted."""
    movies = [score_case(case, cache) for case in others]
    found = {}
    for gap in GAPS:
        layer = UncertaintyLayer("auto", events=EventOffsets())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fit_events(layer, [movie[gap] for movie in movies], max_steps=STEPS)
            except InputError:
                continue
        found[FITTED, gap] = layer
    return found
