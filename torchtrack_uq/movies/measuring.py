"""Measure the cells of a movie, a stretch of its frames at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.features import FrameMeasurements, measure_frame
from torchtrack_uq.movies.intensity import IntensityScale
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.scale import aspect
from torchtrack_uq.utils.crew import SHARES, Alone, Crew, spans
from torchtrack_uq.utils.progress import with_progress

FEATURES = ("equivalent_diameter_area", "intensity_mean", "inertia_tensor", "border_dist")
"""Names and order of the features, those of Trackastra's `wrfeat`."""


@dataclass(frozen=True)
class MeasuredStretch:
    """Some frames of a movie.

    Attributes:
        frames: What was measured of each.
        scale: Of their intensities; None where there are no images.
    """

    frames: list[FrameMeasurements]
    scale: IntensityScale | None


def measure_stretch(movie: Movie, frames: range) -> MeasuredStretch:
    """Measure the cells of some frames."""
    scale = None if movie.images is None else IntensityScale(movie.n_frames)
    edges = aspect(movie.voxel_size, len(movie.frame_shape))
    found: list[FrameMeasurements] = []
    for t in frames:
        image = movie.read_image(t)
        found.append(measure_frame(movie.read_mask(t), image, edges))
        if image is not None and scale is not None:
            scale.add(image)
    return MeasuredStretch(found, scale)


def measure_columns(movie: Movie, crew: Crew | None = None, *, progress: bool = True) -> dict[str, Any]:
    """Frame, label, coordinates and features of a movie's cells, as `Detections` takes them.

    Args:
        movie: Masks and perhaps images, each read once.
        crew: Who measures; this process by default. The numbers are the same.
        progress: Whether to show a progress bar.

    Raises:
        InputError: No frame holds a cell, or a frame cannot be used.
    """
    crew = crew or Alone()
    n = movie.n_frames
    tasks = spans(n, n if crew.n == 1 else SHARES * crew.n)
    scale = IntensityScale(n)
    frames: list[FrameMeasurements] = []
    for found in _with_progress(crew.map(measure_stretch, movie, tasks), n, show=progress):
        frames += found.frames
        if found.scale is not None:
            scale.merge(found.scale)
    if not any(len(cells.label) for cells in frames):
        raise InputError(f"{movie.masks.name} holds no cell in any of its {n} frames")
    intensity = np.concatenate([cells.intensity for cells in frames])
    columns: dict[str, NDArray[Any]] = {
        "equivalent_diameter_area": np.concatenate([cells.diameter for cells in frames])[:, None],
        "intensity_mean": (intensity if movie.images is None else scale.normalise(intensity))[:, None],
        "inertia_tensor": np.concatenate([cells.inertia for cells in frames]),
        "border_dist": np.concatenate([cells.border for cells in frames])[:, None],
    }
    return {
        "frame": np.repeat(np.arange(n), [len(cells.label) for cells in frames]),
        "label": np.concatenate([cells.label for cells in frames]),
        "coords": np.concatenate([cells.centroid for cells in frames]),
        "features": {name: columns[name].astype(np.float32) for name in FEATURES},
    }


def _with_progress(stretches: Iterable[MeasuredStretch], n: int, *, show: bool) -> Iterator[MeasuredStretch]:
    """A bar of frames, whatever the stretches are."""
    bar = with_progress(range(n), "Measuring cells", show=show)
    for stretch in stretches:
        for _ in stretch.frames:
            next(bar, None)
        yield stretch
    next(bar, None)
