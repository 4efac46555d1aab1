"""What the prior does for cells after a miss, and for the probabilities that detections are missed or false."""

import math
import warnings
from pathlib import Path

import torch

from common.results import kept
from experiments.prior.units import Item, read_item, score_item
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.metrics import summarise
from torchtrack_uq.posterior.false_cells import false_cells
from torchtrack_uq.truth.detection_truth import judge_detections
from torchtrack_uq.truth.judged import judge, judge_events

SHOWN = ("n_after_gap", "accuracy_after_gap", "ece_missed", "ece_false")


def judge_detections_of(item: Item, cache: Path, prior: MoviePrior) -> list[dict[str, object]]:
    """Rows of a movie with errors, links up to two frames: before, and with a prior learned without its kind."""

    def make() -> list[dict[str, object]]:
        movie = score_item(item, cache)
        truth = read_item(item).detection_truth()
        auto = UncertaintyLayer("auto")
        rows: list[dict[str, object]] = []
        for name, layer in (("auto, T = 1", auto), ("auto, no annotation", prior.layer(auto, movie.graph))):
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of movies in which few cells were missed
                p = layer(movie.scores)
                events = judge_events(p, movie.targets)
                if truth is not None and bool(truth.known.any()):
                    false, _ = false_cells(p, layer.tempered(movie.graph), tolerance=0.01)
                    events |= judge_detections({"false": false}, truth, movie.graph.frame)
                found = summarise([judge(p, movie.targets)], [events])
            rows.append({"how": name, **{metric: found.get(metric, math.nan) for metric in SHOWN}})
        return rows

    file = cache / f"{item.key}_{prior.version}_detections.json"
    return [item.columns | row for row in kept(file, make)]
