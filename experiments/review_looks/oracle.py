"""A person who is always right goes through one movie's queue; what she finds, and how many looks it takes."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.event_model import first_frames, rates_at, with_errors
from study.units import MODEL, TRACKERS, Unit, read_unit
from torchtrack_uq import TrackingResult, UncertainTracker
from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.results.queue import review_queue
from torchtrack_uq.trackers import make_tracker

MOST_CELLS = 6000
STEPS, MOST_STEPS = 10, 25
"""Looks a portion: errors over this. After each of at most so many portions the posterior is conditioned."""
MAX_GAP = 2
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """One movie at one stride under one tracker, with so many cells missed (and a fifth merged, split, made up)."""

    unit: Unit
    rate: float

    @property
    def key(self) -> str:
        """A name for files."""
        return f"{self.unit.key}_{self.rate}"


def read_case(case: Case) -> AnnotatedMovie:
    """The first frames of the movie, with its errors."""
    movie = first_frames(read_unit(case.unit), MOST_CELLS)
    if not case.rate:
        return movie
    return with_errors(movie, points=is_points_folder(case.unit.folder), rates=rates_at(case.rate))


def tracked(case: Case) -> tuple[TrackingResult, Ints, Bools]:
    """The case as `track` would do it, with the true mothers, and which decisions can be judged."""
    movie = read_case(case)
    model = MODEL if case.unit.tracker == "Transformer" else None
    tracker = make_tracker(TRACKERS[case.unit.tracker], "cpu", model=model, max_gap=MAX_GAP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = UncertainTracker(tracker).track_detections(movie.detections, movie.movie, progress=False)
    targets = movie.targets(MAX_GAP)
    return result, at_most_two(targets.mother.numpy()), targets.known.numpy() & (movie.detections.frame > 0)


def by_spot(case: Case) -> list[int]:
    """Wrong decisions at each spot of the queue (a group), in its order: what a look at each would find."""
    result, truth, judged = tracked(case)
    queue, cells = review_queue(result), result.detections
    listed = [cells.find(frame, label) for frame, label in zip(queue["frame"], queue["label"], strict=True)]
    wrong = (judged & (result.mother != truth))[np.array(listed, np.int64)]
    found: list[int] = np.bincount(queue["rank"], wrong)[1:].astype(int).tolist()
    return found


def of_case(case: Case) -> dict[str, Any]:
    """Numbers of one case: orders without conditioning, and the looks of a person who decides and goes on."""
    result, truth, judged = tracked(case)
    wrong = judged & (result.mother != truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "n": int(judged.sum()),
            "errors": int(wrong.sum()),
            "p": result.decision_probability[judged].round(9).tolist(),
            "wrong": np.flatnonzero(wrong[judged]).tolist(),
            "queue": place_in(queue_order(result), judged).tolist(),
            "orders": {
                name: place_in(order, judged).tolist() for name, order in orders_of(result, case).items()
            },
            "curve": reviewed(result, truth, judged) if wrong.any() else [],
        }
    return found


def at_most_two(mother: Ints) -> Ints:
    """The truth in which third daughters (in skipped frames their mother divided twice) have no mother."""
    kept = mother.copy()
    order = np.argsort(mother, kind="stable")
    third = np.flatnonzero((mother[order][2:] == mother[order][:-2]) & (mother[order][2:] >= 0)) + 2
    kept[order[third]] = -1
    return kept


def place_in(order: Ints, judged: Bools) -> Ints:
    """The judged cells of an order, counted among the judged."""
    place = np.cumsum(judged) - 1
    return np.asarray(place[order[judged[order]]])


def queue_order(result: TrackingResult) -> Ints:
    """All cells: those of the queue as it lists them, then the others by confidence."""
    queue = review_queue(result)
    cells = result.detections
    listed = np.array(
        [cells.find(frame, label) for frame, label in zip(queue["frame"], queue["label"], strict=True)],
        np.int64,
    )
    rest = np.setdiff1d(np.flatnonzero(cells.frame > 0), listed)
    return np.concatenate([listed, rest[np.argsort(result.decision_probability[rest], kind="stable")]])


def orders_of(result: TrackingResult, case: Case) -> dict[str, Ints]:
    """All cells in other orders: by confidence, by entropy, and by the raw score of what was decided."""
    later = np.flatnonzero(result.detections.frame > 0)
    entropy = result.cells["entropy"].to_numpy()
    found = {
        "confidence": later[np.argsort(result.decision_probability[later], kind="stable")],
        "entropy": later[np.argsort(-entropy[later], kind="stable")],
    }
    if case.unit.tracker == "Transformer":
        graph = result.candidates
        score, daughter = graph.score.double().numpy(), graph.daughter.numpy()
        best = np.full(len(entropy), -np.inf)
        np.maximum.at(best, daughter, score)
        chosen = np.full(len(entropy), np.nan)
        chosen[daughter[result.selected]] = score[result.selected]
        linked = ~np.isnan(chosen)
        raw = np.where(linked, chosen, -np.where(np.isfinite(best), best, 0.0))
        found["Trackastra's score"] = later[np.argsort(raw[later], kind="stable")]
    return found


def reviewed(result: TrackingResult, truth: Ints, judged: Bools) -> list[list[int]]:
    """[looks, wrong decisions left], in portions until nothing is wrong.

    Where only very sure decisions are wrong, or after `MOST_STEPS` portions, the rest is gone through by confidence,
    without conditioning.
    """
    current, mother, known = result, np.full(len(truth), -1, np.int64), np.zeros(len(truth), np.bool_)
    errors = int((judged & (result.mother != truth)).sum())
    portion = max(1, math.ceil(errors / STEPS))
    curve = [[0, errors]]
    while curve[-1][1]:
        order = queue_order(current)
        ask = order[judged[order] & ~known[order]][:portion]
        if not len(ask):
            break
        mother[ask], known[ask] = truth[ask], True
        current = result.correct(Decisions(mother, known, np.zeros(len(truth), np.bool_)))
        left = judged & (current.mother != truth)
        curve.append([int(known.sum()), int(left.sum())])
        sure = result_confidence(current)
        if left.any() and (sure[left].min() > 0.99 or len(curve) > MOST_STEPS):
            rest = np.flatnonzero(judged & ~known)
            rest = rest[np.argsort(sure[rest], kind="stable")]
            last = int(np.flatnonzero(left[rest]).max()) + 1
            curve.append([int(known.sum()) + last, 0])
    return curve


def result_confidence(result: TrackingResult) -> Floats:
    """Probability of every decision; 1 for those of frame 0."""
    return np.nan_to_num(result.decision_probability, nan=1.0)


def quiet() -> None:
    """One thread: cases run side by side."""
    torch.set_num_threads(1)
