"""What is judged: movies, strides, trackers and how wrong the masks are; each scored once and kept on disk."""

import os
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from experiments.automatic_masks import MOVIES as WITH_IMAGES
from experiments.automatic_masks import SegmentedFrames, save
from study.units import FEWEST_FRAMES, MODEL, TRACKERS, Unit, find_units, read_unit
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.datasets import AnnotatedMovie, CorruptionRates, CtcSequence, corrupt, read_annotated
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.movies.frames import open_frames
from torchtrack_uq.trackers import make_tracker

STRIDES = (1, 4)
GAPS = (1, 2)
JUDGED_GAP = 2
"""Frames within which the truth is sought, also for links that span one: what they cannot find counts against them."""
RATES = (0.0, 0.02, 0.05, 0.1)
AUTOMATIC = "automatic"


@dataclass(frozen=True)
class Case:
    """One movie at one stride under one tracker, with errors.

    Attributes:
        unit: Movie, stride and tracker.
        errors: A rate of missed cells (a fifth of it each for merged, split and made-up ones), or `AUTOMATIC`.
        largest: Only as many frames as hold about so many cells; None for all.
    """

    unit: Unit
    errors: float | str
    largest: int | None = None

    @property
    def key(self) -> str:
        """A name for files."""
        return f"{self.unit.key}_{self.errors}" + ("" if self.largest is None else f"_{self.largest}")


def find_cases(
    data: Path, movies: list[str] | None, trackers: list[str], strides: tuple[int, ...] = STRIDES
) -> list[Case]:
    """All cases that a data folder allows, those that take longest first."""
    cases = []
    for unit in find_units(data, movies, strides):
        if unit.tracker in trackers:
            cases += [Case(unit, rate) for rate in RATES]
            if unit.movie in WITH_IMAGES:
                cases.append(Case(unit, AUTOMATIC))
    return cases


def read_case(case: Case) -> AnnotatedMovie:
    """The movie with its errors, and the truth about what is left."""
    if case.errors == AUTOMATIC:
        return _segmented(case.unit)
    perfect = read_unit(case.unit)
    rate = float(case.errors)
    other = 0.0 if is_points_folder(case.unit.folder) else rate / 5  # points cannot merge or split
    if case.largest is not None:
        n_frames = int(np.searchsorted(perfect.detections.offsets, case.largest))
        perfect = perfect.frames(0, min(max(n_frames, FEWEST_FRAMES), perfect.detections.n_frames))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # movies with no room for as many errors get fewer, and are judged as they are
        return corrupt(perfect, CorruptionRates(rate, other, other, rate / 5), seed=1, progress=False)


def _segmented(unit: Unit) -> AnnotatedMovie:
    images = CtcSequence.find(unit.folder).images
    assert images is not None
    source = SegmentedFrames(open_frames(images), bright=WITH_IMAGES[unit.movie])
    with tempfile.TemporaryDirectory() as folder:
        masks = save(source, Path(folder))
        movie = read_annotated(unit.folder, unit.stride, segmentation=masks, progress=False)
        return movie if unit.tracker == "Distance" else _held(movie)


def _held(movie: AnnotatedMovie) -> AnnotatedMovie:
    """The movie with its masks in memory, as their files will be gone."""
    assert movie.movie is not None
    frames = np.stack([np.asarray(frame) for frame in movie.movie.masks])
    return replace(movie, movie=replace(movie.movie, masks=open_frames(frames)))


def score_case(case: Case, cache: Path) -> dict[int, ScoredMovie]:
    """Candidate links by largest gap, with the truth within `JUDGED_GAP` frames."""
    file = cache / f"{case.key}.pt"
    if not file.is_file():
        movie = read_case(case)
        scored = {}
        for gap in GAPS:
            model = MODEL if case.unit.tracker == "Transformer" else None
            tracker = make_tracker(TRACKERS[case.unit.tracker], "cpu", model=model, max_gap=gap)
            with torch.no_grad():
                graph = tracker.candidates(movie.detections, movie.movie, progress=False)
            truth = movie.detection_truth()
            scored[gap] = ScoredMovie(case.unit.movie, graph, movie.targets(JUDGED_GAP), None, truth)
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(scored, file.with_suffix(".part"))
        os.replace(file.with_suffix(".part"), file)
    found: dict[int, ScoredMovie] = torch.load(file, weights_only=False)
    return found
