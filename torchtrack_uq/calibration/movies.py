"""From annotated folders to scored movies."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.datasets import AnnotatedMovie, movies_from
from torchtrack_uq.datasets.sources import sequence_key
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.layers.uncertainty import graph_of
from torchtrack_uq.movie import Movie
from torchtrack_uq.targets import LinkTargets
from torchtrack_uq.trackers import Tracker


def read_annotated(
    folder: str | os.PathLike[str], stride: int = 1, *, progress: bool = True
) -> tuple[AnnotatedMovie, Movie | None]:
    """Read one of the formats of `torchtrack_uq.datasets.movies_from`.

    Returns:
        Cells with their true mothers, and images and masks (None for points).

    Raises:
        InputError: Something is missing, contradictory or too short for the stride.
    """
    (source,) = movies_from([folder], stride, progress=progress)
    return source.annotated, source.movie


@torch.no_grad()
def score_movie(
    annotated: AnnotatedMovie,
    movie: Movie | None,
    tracker: Tracker,
    layer: UncertaintyLayer,
    *,
    progress: bool = True,
) -> ScoredMovie:
    """Score one annotated movie and solve what does not depend on the temperature.

    Raises:
        InputError: The tracker needs pixels, and the movie has none; the message names the movie.
    """
    try:
        scores = layer.scores(tracker, annotated.detections, movie, progress=progress)
    except InputError as error:
        raise InputError(f"{annotated.name}: {error}") from error
    targets = LinkTargets.of(annotated).to(graph_of(scores).device)
    return ScoredMovie(annotated.name, scores, targets).solve(layer)


def score_folders(
    folders: Iterable[str | os.PathLike[str]],
    tracker: Tracker,
    layer: UncertaintyLayer,
    stride: int = 1,
    *,
    progress: bool = True,
) -> Iterator[ScoredMovie]:
    """`read_annotated` and `score_movie` for each folder, one after the other.

    Raises:
        InputError: A folder that cannot be used, or one that is listed twice; before any is scored.
    """
    paths = [Path(folder).expanduser() for folder in folders]
    if not paths:
        raise InputError(
            "there is no annotated movie: name at least one folder such as data/Fluo-N2DL-HeLa/01"
        )
    keys = [sequence_key(path) for path in paths]
    for path, key in zip(paths, keys, strict=True):
        if keys.count(key) > 1:
            raise InputError(f"{path} is listed twice; each movie counts once")
    for path in paths:
        annotated, movie = read_annotated(path, stride, progress=progress)
        yield score_movie(annotated, movie, tracker, layer, progress=progress)
