"""Arguments that say which movie is meant and how it is to be read."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.points_arguments import add_points_argument, add_points_details
from torchtrack_uq.cli.values import numbers
from torchtrack_uq.errors import InputError

if TYPE_CHECKING:
    from torchtrack_uq.movies.movie import Movie


def add_movie_arguments(parser: argparse.ArgumentParser) -> None:
    """`--images`, `--masks` or `--points`, the scale, and how to read them."""
    parser.add_argument(
        "-i",
        "--images",
        help="folder with one TIFF or PNG a frame, a multi-page TIFF, or an npy, nd2, czi or OME-Zarr; may be left out",
    )
    cells = parser.add_mutually_exclusive_group(required=True)
    cells.add_argument(
        "-m",
        "--masks",
        help="label masks of the same frames and shape; also Cellpose's _seg.npy. A folder may hold both images and "
        "masks where names tell them apart, as t000.tif and t000_cp_masks.tif",
    )
    add_points_argument(cells)
    add_points_details(parser)
    add_scale_arguments(parser)
    add_reading_arguments(parser)
    add_trust_masks_argument(parser)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """`--channel`, `--mask-channel`, `--axes`, `--scene` and `--missing-frames`."""
    parser.add_argument(
        "--channel",
        metavar="N",
        help="which channel of the images, counted from 1, or its name where it has one",
    )
    parser.add_argument(
        "--mask-channel",
        metavar="N",
        help="which channel of the masks, where labels are one of several channels",
    )
    parser.add_argument(
        "--axes",
        metavar="TZYX",
        help="what each axis of the files is, of T, Z, C, Y and X (default: what they state, else time first)",
    )
    parser.add_argument(
        "--scene",
        metavar="N",
        type=int,
        help="which of several images in a file, such as positions, counted from 1",
    )
    add_missing_frames_argument(parser)


def add_missing_frames_argument(parser: argparse.ArgumentParser) -> None:
    """`--missing-frames`."""
    parser.add_argument(
        "--missing-frames",
        choices=("refuse", "empty", "skip"),
        default="refuse",
        help="what becomes of numbers that the names of a folder's files leave out: refuse; empty, frames without "
        "cells, over which --max-gap links; or skip, as if the others followed each other (default: %(default)s)",
    )


def reading_of(options: argparse.Namespace) -> dict[str, Any]:
    """How to read, as `Movie.open` and `UncertainTracker.track` take it."""
    names = ("axes", "channel", "mask_channel", "scene")
    return {name: getattr(options, name, None) for name in names} | {
        "missing_frames": getattr(options, "missing_frames", "refuse")
    }


def add_trust_masks_argument(parser: argparse.ArgumentParser) -> None:
    """`--trust-masks`."""
    parser.add_argument(
        "--trust-masks",
        action="store_true",
        help="go on, with a warning, where masks do not look like label masks (images, yes/no masks, single pixels)",
    )


def add_scale_arguments(parser: argparse.ArgumentParser) -> None:
    """`--voxel-size` and `--interval`."""
    parser.add_argument(
        "--voxel-size",
        metavar="[Z,]Y,X",
        type=_voxel_size,
        help="edge lengths of a voxel in micrometres, such as 0.5,0.16,0.16, or with points what a step of 1 is; "
        "where planes lie farther apart than "
        "pixels, distances need it (default: what the files state, else cubes)",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=float,
        help="time between frames (default: what the files state)",
    )


def scale_of(options: argparse.Namespace) -> dict[str, Any]:
    """`voxel_size` and `interval` as `Movie.open` and `UncertainTracker.track` take them."""
    return {
        "voxel_size": getattr(options, "voxel_size", None),
        "interval": getattr(options, "interval", None),
    }


def inputs_of(options: argparse.Namespace) -> list[Path]:
    """Files and folders that hold the movie."""
    given = (getattr(options, name, None) for name in ("images", "masks", "points"))
    return [Path(one) for one in given if one is not None]


def check_there(options: argparse.Namespace) -> None:
    """Refuse images or masks that are not there, which takes no library; what they hold, `open_movie` looks at.

    Raises:
        InputError: A path that does not exist.
    """
    for path in (options.images, options.masks):
        if path is not None and not Path(path).exists():
            raise InputError(f"{path} does not exist")


def open_movie(options: argparse.Namespace) -> "Movie":
    """The movie that was named, checked, before anything slow happens.

    Raises:
        InputError: As `Movie.open` and `check_movie`.
    """
    from torchtrack_uq.movies.movie import Movie
    from torchtrack_uq.movies.sanity import check_movie

    movie = Movie.open(
        options.images, options.masks, options.stride, **scale_of(options), **reading_of(options)
    )
    check_movie(movie, trust_masks=options.trust_masks)
    return movie


def _voxel_size(text: str) -> tuple[float, ...]:
    return numbers(text, "list of numbers; expected micrometres such as 0.5,0.16,0.16")
