"""Annotated movies from a list of paths, whatever format each is in."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchtrack_uq.datasets.ctc import CtcSequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.one_in_a_million import annotate_one_in_a_million, open_one_in_a_million
from torchtrack_uq.datasets.points import read_points_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movie import Movie


@dataclass(frozen=True)
class SourcedMovie:
    """An annotated movie with the pixels that it was measured on.

    Attributes:
        annotated: Cells and truth.
        movie: Masks, and images where there are any; None for points.
    """

    annotated: AnnotatedMovie
    movie: Movie | None


def sequence_key(path: str | os.PathLike[str]) -> Path:
    """Where a sequence's annotation is: the same for every way to write its path.

    Raises:
        InputError: The path is no annotated sequence.

    """
    folder = Path(path).expanduser()
    if is_points_folder(folder):
        return folder.resolve()
    if not folder.with_name(folder.name + "_GT").is_dir() and folder.is_dir():
        found = sorted(gt.name.removesuffix("_GT") for gt in folder.glob("*_GT") if (gt / "TRA").is_dir())
        if found:
            raise InputError(
                f"{folder} is a data set of several sequences; name one of them, such as {folder / found[0]} "
                f"(it has {', '.join(found)})"
            )
    return CtcSequence.find(folder).masks.resolve()


def is_points_folder(folder: Path) -> bool:
    """Whether a folder holds a table of points rather than masks."""
    return any((folder / name).is_file() for name in ("points.csv", "points.csv.gz"))


def movies_from(
    paths: Sequence[str | os.PathLike[str]],
    stride: int = 1,
    *,
    use_images: bool = True,
    progress: bool = True,
) -> list[SourcedMovie]:
    """Read annotated movies.

    Args:
        paths: Sequence folders of the Cell Tracking Challenge, such as `Fluo-N2DL-HeLa/01`; of "one in a million"
            (told by a sequence 00); or folders with `points.csv` and `man_track.txt`.
        stride: Take every `stride`-th frame.
        use_images: False ignores the images.
        progress: Show progress bars.

    Raises:
        InputError: No path at all, the same sequence twice, or see the readers.
    """
    if not paths:
        raise InputError("no movie was given; expected at least one sequence folder")
    keys: dict[Path, str] = {}
    for path in paths:
        key = sequence_key(path)
        if key in keys:
            raise InputError(f"{path} and {keys[key]} are the same sequence; name it once")
        keys[key] = str(path)
    return [_read(Path(path).expanduser(), stride, use_images, progress) for path in paths]


def _read(folder: Path, stride: int, use_images: bool, progress: bool) -> SourcedMovie:
    if is_points_folder(folder):
        return SourcedMovie(read_points_movie(folder).strided(stride), None)
    if folder.with_name("00_GT").is_dir():
        opened = open_one_in_a_million(folder, stride, use_images=use_images)
        return SourcedMovie(annotate_one_in_a_million(*opened, progress=progress), opened[1])
    sequence = CtcSequence.find(folder)
    movie = sequence.open_movie(stride, use_images=use_images)
    return SourcedMovie(sequence.annotate(movie, progress=progress), movie)
