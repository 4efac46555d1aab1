"""What the promises are tried on: movies under strides, trackers and methods, and how daughters are shared out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.calibration import movie_prior
from torchtrack_uq.datasets import AnnotatedMovie, read_annotated
from torchtrack_uq.guarantees import class_scores, true_scores
from torchtrack_uq.posterior import map_links
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP
from torchtrack_uq.truth import judge_decisions

MOVIES = (
    "mouse-epidermis", "cglutamicum", "cell-migration", "Fluo-N2DL-HeLa", "Fluo-N2DH-SIM+", "Fluo-N2DH-GOWT1",
    "Fluo-C2DL-MSC", "c2c12-points",
)  # fmt: skip
STRIDES = (1, 4)
TRACKERS = ("distance", "small_2d")
DEFAULT = "default"
"""What `track` does when nothing is said: `auto`, links over gaps, temperature and event scores from the tracker's
prior. That prior may have seen these movies; promises do not ask where scores are from."""
METHODS = ("SM", "AS", DEFAULT)
SCORES = ("LAC", "APS")
KINDS = ("draws", "daughters", "frames", "time")


@dataclass(frozen=True)
class Case:
    """One movie under one stride, tracker and method: its D judged daughters."""

    movie: str
    stride: int
    tracker: str
    method: str
    frame: NDArray[np.int64]
    probability: NDArray[np.float64]
    correct: NDArray[np.bool_]
    linked: NDArray[np.bool_]
    truth: dict[str, NDArray[np.float64]]
    classes: dict[str, NDArray[np.float64]]

    @property
    def key(self) -> dict[str, object]:
        """Columns that name it in the tables."""
        return {"movie": self.movie, "stride": self.stride, "tracker": self.tracker, "method": self.method}


def read_movie(data: Path, name: str) -> AnnotatedMovie:
    """Cells of one movie with their true mothers."""
    return read_annotated(data / name if name == "c2c12-points" else data / name / "01", progress=False)


@torch.no_grad()
def compute(movie: AnnotatedMovie, stride: int, tracker_name: str, file: Path) -> None:
    """Track once and store what the splits need, for every method."""
    part = movie.strided(stride)
    stored: dict[str, NDArray[np.generic]] = {}
    for max_gap, methods in ((1, METHODS[:-1]), (DEFAULT_MAX_GAP, (DEFAULT,))):
        name, model = ("distance", None) if tracker_name == "distance" else ("trackastra", tracker_name)
        tracker = make_tracker(name, "cpu", model=model, max_gap=max_gap)
        graph = tracker.candidates(part.detections, progress=False)
        targets = part.targets(max_gap)
        known = targets.known
        for method in methods:
            layer = UncertaintyLayer("auto" if method == DEFAULT else method)
            if method == DEFAULT and (prior := movie_prior(tracker)) is not None:
                layer = prior.layer(layer, graph)
            p = layer(graph)
            decisions = judge_decisions(p, map_links(layer.corrected(graph)), targets)
            stored |= {
                f"{method} frame": decisions.frame,
                f"{method} linked": decisions.linked,
                f"{method} probability": decisions.probability,
                f"{method} correct": decisions.correct,
            }
            for score in SCORES:
                link, null = class_scores(p, score, (0, 1))
                stored[f"{method} truth {score}"] = true_scores(p, targets, score, (0, 1)).numpy()
                stored[f"{method} classes {score}"] = (
                    torch.cat([link[known[graph.daughter]], null[known]]).sort().values.numpy()
                )
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **stored)


def cases(data: Path, cache: Path) -> Iterator[Case]:
    """Every movie that is there under every stride, tracker and method; tracked once and kept in `cache`."""
    for name in MOVIES:
        if not (data / name).is_dir():
            continue
        movie: AnnotatedMovie | None = None
        for stride in STRIDES:
            for tracker in TRACKERS:
                if name == "c2c12-points" and tracker == "small_2d":
                    continue  # the transformer needs masks
                file = cache / f"{name}_{stride}_{tracker}.npz"
                if not file.exists():
                    movie = read_movie(data, name) if movie is None else movie
                    start = time.perf_counter()
                    compute(movie, stride, tracker, file)
                    print(f"{file.name}: {time.perf_counter() - start:.0f} s", flush=True)
                stored = np.load(file)
                for method in METHODS:
                    yield Case(
                        name, stride, tracker, method, stored[f"{method} frame"],
                        stored[f"{method} probability"], stored[f"{method} correct"], stored[f"{method} linked"],
                        {score: stored[f"{method} truth {score}"] for score in SCORES},
                        {score: stored[f"{method} classes {score}"] for score in SCORES},
                    )  # fmt: skip


def splits(case: Case, kind: str, n_splits: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Indices of the annotated daughters, and which daughters to judge by.

    "draws": half as many as there are, drawn with replacement, judged by the whole movie: exactly what is promised.
    "daughters", "frames": half of them at random, judged by the others. "time": the first half of the movie.
    """
    d = len(case.frame)
    rng = np.random.default_rng(crc32(f"{case.key} {kind}".encode()))
    frames = np.unique(case.frame)
    for _ in range(1 if kind == "time" else n_splits):
        if kind == "draws":
            yield rng.integers(0, d, d // 2), np.ones(d, np.bool_)
            continue
        if kind == "daughters":
            annotated = rng.permutation(d) < d // 2
        elif kind == "frames":
            annotated = np.isin(case.frame, rng.permutation(frames)[: len(frames) // 2])
        else:
            annotated = case.frame < np.median(frames)
        yield np.flatnonzero(annotated), ~annotated
