"""The one reader of annotated movies, whatever format each is in."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from torchtrack_uq.datasets.ctc import CtcSequence, read_ctc_sequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.match import check_same_frames
from torchtrack_uq.datasets.one_in_a_million import is_one_in_a_million, read_one_in_a_million
from torchtrack_uq.datasets.points import dimensions_of_points, is_points_folder, read_points_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.frames import FramesLike, open_frames
from torchtrack_uq.movies.sanity import check_movie

PathLike = str | os.PathLike[str]


def _resolved(folder: Path) -> Path:
    return folder.resolve()


def _planar(folder: Path) -> int:
    return 2


def _annotation_of(folder: Path) -> Path:
    """Where a sequence in the layout of the Cell Tracking Challenge has its annotation."""
    return CtcSequence.find(folder).masks.resolve()


@dataclass(frozen=True)
class Format:
    """One format of annotated movies.

    Attributes:
        name: What to call it.
        recognises: Whether a folder is in this format.
        read: Reads it: folder, stride, use_images, progress, and if it can voxel_size.
        key: What a folder's movie is known by, however its path is written, so that none is taken twice; by default
            the folder itself.
        dimensions: How many dimensions in space a folder's movie has.
    """

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[..., AnnotatedMovie]
    key: Callable[[Path], Path] = _resolved
    dimensions: Callable[[Path], int] = _planar


FORMATS = [
    Format("points", is_points_folder, read_points_movie, dimensions=dimensions_of_points),
    Format("one in a million", is_one_in_a_million, read_one_in_a_million, _annotation_of),
]
"""Formats told by what a folder holds, tried in order; any other folder is a Cell Tracking Challenge sequence."""


def read_annotated(
    folder: PathLike,
    stride: int = 1,
    *,
    use_images: bool = True,
    segmentation: FramesLike | None = None,
    voxel_size: Sequence[float] | None = None,
    missing_frames: str = "refuse",
    progress: bool = True,
) -> AnnotatedMovie:
    """Read one annotated movie.

    Args:
        folder: A sequence folder of the Cell Tracking Challenge, such as `Fluo-N2DL-HeLa/01`; one of "one in a million"
            (told by a sequence 00); or a folder with `points.csv` and `man_track.txt`.
        stride: Take every `stride`-th frame.
        use_images: False ignores the images.
        segmentation: Masks to track instead of the annotated ones, for Cell Tracking Challenge folders.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x), or with points what a step of 1 is; by default
            what files state, else cubes.
        missing_frames: Of Cell Tracking Challenge folders: "refuse" or "empty", see `Movie.open`.
        progress: Show a progress bar.

    Returns:
        Cells with their true mothers, and the pixels that they were measured on, where there are any.

    Raises:
        InputError: Something is missing, contradictory or too short for the stride: see the readers.
    """
    path = _named(folder)
    one = _format_of(path)
    if one is not None:
        if segmentation is not None:
            raise InputError(f"{path} is in the format {one.name}, which takes no other segmentation")
        scale: dict[str, Any] = {} if voxel_size is None else {"voxel_size": voxel_size}
        if scale and "voxel_size" not in signature(one.read).parameters:
            raise InputError(
                f"{path} is in the format {one.name}, whose reader takes no voxel size; leave it out"
            )
        if missing_frames != "refuse":
            raise InputError(
                f"{path} is in the format {one.name}, whose reader knows of no missing frames; leave that out"
            )
        return one.read(path, stride, use_images=use_images, progress=progress, **scale)
    _refuse_dataset(path)
    return read_ctc_sequence(
        path,
        stride,
        use_images=use_images,
        segmentation=segmentation,
        voxel_size=voxel_size,
        missing_frames=missing_frames,
        progress=progress,
    )


def spatial_dimensions(folder: PathLike, missing_frames: str = "refuse") -> int:
    """Whether an annotated movie is in 2D or 3D, from a header: 2 or 3.

    Args:
        folder: As for `read_annotated`.
        missing_frames: Likewise.

    Raises:
        InputError: There is no movie there.
    """
    path = _named(folder)
    one = _format_of(path)
    if one is None:
        return len(
            CtcSequence.find(path).open_movie(use_images=False, missing_frames=missing_frames).frame_shape
        )
    return one.dimensions(path)


def read_movies(
    folders: Iterable[PathLike],
    stride: int = 1,
    *,
    use_images: bool = True,
    segmentation: Sequence[FramesLike] | None = None,
    voxel_size: Sequence[float] | None = None,
    missing_frames: str = "refuse",
    progress: bool = True,
) -> Iterator[AnnotatedMovie]:
    """Read annotated movies one after the other.

    Args:
        folders: As for `read_annotated`.
        stride: Take every `stride`-th frame.
        use_images: False ignores the images.
        segmentation: Masks to track instead of the annotated ones, one for each folder, in their order.
        voxel_size: Of all of them, see `read_annotated`.
        missing_frames: Likewise.
        progress: Show progress bars.

    Raises:
        InputError: No folder at all, the same sequence twice, or a segmentation that does not fit, before any is read;
            or as `read_annotated`.
    """
    paths = list(folders)
    if not paths:
        raise InputError(
            "no movie was given; expected at least one sequence folder such as data/Fluo-N2DL-HeLa/01"
        )
    refuse_repeated({"": paths})
    masks: Sequence[FramesLike] = [None] * len(paths) if segmentation is None else list(segmentation)
    if len(masks) != len(paths):
        raise InputError(
            f"{len(masks)} segmentation(s) were given for {len(paths)} movie(s); expected one for each, in their order"
        )
    for path, own in zip(paths, masks, strict=True):
        if own is not None:
            _check_segmentation(path, own, missing_frames)
    return (
        read_annotated(
            path,
            stride,
            use_images=use_images,
            segmentation=own,
            voxel_size=voxel_size,
            missing_frames=missing_frames,
            progress=progress,
        )
        for path, own in zip(paths, masks, strict=True)
    )


def check_masks(
    folders: Sequence[PathLike],
    stride: int = 1,
    *,
    segmentation: Sequence[FramesLike] | None = None,
    missing_frames: str = "refuse",
    trust_masks: bool = False,
) -> None:
    """Look at a few frames of each Cell Tracking Challenge sequence before work starts, see `check_movie`.

    Args:
        folders: As for `read_movies`; those in other formats are passed over.
        stride: Take every `stride`-th frame.
        segmentation: Masks to track instead of the annotated ones, one for each folder.
        missing_frames: As for `read_movies`.
        trust_masks: Warn only, whatever is found.

    Raises:
        InputError: Masks that do not look like label masks.

    Warns:
        MovieWarning: Something looks odd.
    """
    for path, own in zip(folders, segmentation or [None] * len(folders), strict=True):
        if _format_of(_named(path)) is None:
            movie = CtcSequence.find(_named(path)).open_movie(
                stride, segmentation=own, missing_frames=missing_frames
            )
            check_movie(movie, trust_masks=trust_masks)


def _check_segmentation(folder: PathLike, segmentation: FramesLike, missing_frames: str) -> None:
    """Refuse a segmentation that is not of the frames that a folder annotates, without reading pixels."""
    path = _named(folder)
    if (one := _format_of(path)) is not None:
        raise InputError(f"{path} is in the format {one.name}, which takes no other segmentation")
    _refuse_dataset(path)
    check_same_frames(
        open_frames(segmentation, "the segmentation", role="masks", missing_frames=missing_frames),
        open_frames(CtcSequence.find(path).masks, role="masks"),
    )


def refuse_repeated(groups: Mapping[str, Sequence[PathLike]]) -> None:
    """Refuse a sequence that is named twice, in one group or in two.

    Args:
        groups: Folders by what they are for, such as "train" and "test"; with a single group its name is not said.

    Raises:
        InputError: The same sequence twice, however its path is written, or a folder that is no annotated sequence.
    """
    seen: dict[Path, tuple[str, PathLike]] = {}
    for group, folders in groups.items():
        for folder in folders:
            key = sequence_key(folder)
            if key in seen:
                other, path = seen[key]
                if other != group:
                    raise InputError(
                        f"{folder} is a {other} and a {group} movie (also given as {path}); a sequence may be in one "
                        "split only, since its links resemble each other"
                    )
                among = f" among the {group} movies" if group else ""
                raise InputError(
                    f"{folder} is named twice{among}: it and {path} are the same sequence; name it once"
                )
            seen[key] = group, folder


def sequence_key(folder: PathLike) -> Path:
    """What a sequence is known by, such as where its annotation is: the same for every way to write its path.

    Raises:
        InputError: The path is no annotated sequence.
    """
    path = _named(folder)
    one = _format_of(path)
    if one is not None:
        return one.key(path)
    _refuse_dataset(path)
    return _annotation_of(path)


def _named(folder: PathLike) -> Path:
    """The folder under its own name, which `.` and `..` do not say."""
    path = Path(folder).expanduser()
    return path.resolve() if path.name in ("", "..") else path


def _format_of(folder: Path) -> Format | None:
    """The format that a folder is told to be in by what it holds; None for the Cell Tracking Challenge's."""
    return next((one for one in FORMATS if one.recognises(folder)), None)


def _refuse_dataset(folder: Path) -> None:
    """Say which sequences there are, where a whole data set was named."""
    if not folder.with_name(folder.name + "_GT").is_dir() and folder.is_dir():
        found = sorted(gt.name.removesuffix("_GT") for gt in folder.glob("*_GT") if (gt / "TRA").is_dir())
        if found:
            raise InputError(
                f"{folder} is a data set of several sequences; name one of them, such as {folder / found[0]} "
                f"(it has {', '.join(found)})"
            )
