"""What is judged: movies, strides, trackers and how wrong the masks are; each scored once and kept on disk."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.automatic_masks import MOVIES as WITH_IMAGES
from experiments.automatic_masks import read_segmented
from experiments.event_model import GAPS, JUDGED_GAP, STRIDES, first_frames, rates_at, with_errors
from study.units import MODEL, TRACKERS, Unit, find_units, read_unit
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.trackers import make_tracker

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
    unit = case.unit
    if case.errors == AUTOMATIC:
        segmented = read_segmented(unit.folder, unit.movie, unit.stride)
        assert segmented is not None
        return segmented
    perfect = read_unit(unit)
    if case.largest is not None:
        perfect = first_frames(perfect, case.largest)
    rates = rates_at(float(case.errors))
    return with_errors(perfect, points=is_points_folder(unit.folder), rates=rates)


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
