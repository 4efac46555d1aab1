"""The movies that a prior is learned from: every tracker, stride, and masks with errors and without."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from experiments.event_model import JUDGED_GAP, rates_at, with_errors
from study.units import MODELS, MOVIES, TRACKERS, Unit, find_units, read_unit
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.trackers import make_tracker

PRIOR_TRACKERS = {**TRACKERS, "Transformer 3D": "trackastra"}
STRIDES = (1, 2, 4, 8)
RATES = (0.0, 0.05)
"""Of missed cells; a fifth of it each for merged, split and made-up ones. Half of the movies have perfect masks."""
EMBRYOS = ("ascidian", "celegans")
"""Movies of points in 3D whose names begin with these are of one kind, and left out together."""
MOST_CELLS = 1500
FEWEST_FRAMES = 4


@dataclass(frozen=True)
class Item:
    """One movie at one stride under one tracker, with errors at one rate.

    Attributes:
        unit: Movie, stride and tracker.
        rate: Share of missed cells.
    """

    unit: Unit
    rate: float

    @property
    def key(self) -> str:
        """A name for files."""
        return f"{self.unit.key}_{self.rate:g}"

    @property
    def kind(self) -> str:
        """The same for what must not be in two sets: frame rates of one recording, embryos of one species."""
        found = [name for name in EMBRYOS if self.unit.movie.startswith(name)]
        return found[0] if found else self.unit.recording

    @property
    def columns(self) -> dict[str, object]:
        """What a table says of which movie a row is of."""
        unit = self.unit
        return {
            "tracker": unit.tracker,
            "movie": unit.movie,
            "kind": self.kind,
            "stride": unit.stride,
            "rate": self.rate,
        }


def find_items(data: Path, tracker: str, strides: tuple[int, ...] = STRIDES) -> list[Item]:
    """All that a data folder allows; quick ones first."""
    names = [name for name in MOVIES if (data / name).is_dir()]
    names += [folder.name for folder in sorted(data.iterdir()) if folder.name.startswith(EMBRYOS)]
    if tracker == "Transformer 3D":  # on the embryos, which the study has for the distance tracker alone
        found = find_units(data, [name for name in names if name.startswith(EMBRYOS)], strides)
        units = [replace(unit, tracker=tracker) for unit in found]
    else:
        units = [unit for unit in find_units(data, names, strides) if unit.tracker == tracker]
    return [Item(unit, rate) for unit in reversed(units) for rate in RATES]


def middle_frames(movie: AnnotatedMovie, most_cells: int = MOST_CELLS) -> AnnotatedMovie:
    """As many frames around the middle as hold so many cells, at least `FEWEST_FRAMES`: movies begin and end alike."""
    n_cells = np.diff(movie.detections.offsets)
    begin, end = len(n_cells) // 2, len(n_cells) // 2 + 1
    while (end - begin < FEWEST_FRAMES or n_cells[begin:end].sum() < most_cells) and end - begin < len(
        n_cells
    ):
        begin, end = max(begin - 1, 0), min(end + 1, len(n_cells))
    return movie.frames(begin, end)


def read_item(item: Item, most_cells: int | None = MOST_CELLS) -> AnnotatedMovie:
    """The movie with its errors; all frames where `most_cells` is None."""
    movie = read_unit(item.unit)
    if most_cells is not None:
        movie = middle_frames(movie, most_cells)
    return with_errors(movie, points=is_points_folder(item.unit.folder), rates=rates_at(item.rate))


def score_item(item: Item, cache: Path, *, max_gap: int = JUDGED_GAP) -> ScoredMovie:
    """Candidate links over up to `max_gap` frames with the truth within `JUDGED_GAP`, kept on disk."""
    file = cache / f"{item.key}_{max_gap}.pt"
    if not file.is_file():
        movie = read_item(item)
        name = item.unit.tracker
        tracker = make_tracker(PRIOR_TRACKERS[name], "cpu", model=MODELS.get(name), max_gap=max_gap)
        with torch.no_grad():
            graph = tracker.candidates(movie.detections, movie.movie, progress=False)
        scored = ScoredMovie(f"{item.unit.movie} {item.unit.stride}", graph, movie.targets(JUDGED_GAP))
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(scored, file.with_suffix(f".{os.getpid()}"))
        os.replace(file.with_suffix(f".{os.getpid()}"), file)
    found: ScoredMovie = torch.load(file, weights_only=False)
    return replace(found, solved=None)
