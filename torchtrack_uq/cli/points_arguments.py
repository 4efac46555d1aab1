"""Arguments of movies that come as a table of points instead of masks."""

import argparse
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.values import numbers
from torchtrack_uq.errors import InputError

if TYPE_CHECKING:
    from torchtrack_uq.movies.points_table import PointsTable

DEFAULT_TRACKER, FOR_POINTS = "trackastra", "distance"
"""What scores links where nobody says, with masks and with points."""
_TAKE_POINTS = (FOR_POINTS, "trackastra")
"""The second with a model that was trained on points, such as small_3d."""
_NEED_POINTS = ("columns", "field")
_NEED_PIXELS = ("channel", "mask_channel", "axes", "scene")


def add_points_argument(parser: Any) -> None:
    """`--points FILE`."""
    parser.add_argument(
        "--points",
        metavar="FILE",
        help="spots instead of masks: a table (CSV, TSV, gzipped or not, or Parquet) with a row a point and columns "
        "frame, (z), y, x and perhaps id; also as TrackMate, trackpy, LapTrack, btrack or napari name them. Outputs "
        "have its frame numbers and ids",
    )


def add_points_details(parser: argparse.ArgumentParser) -> None:
    """`--columns` and `--field`."""
    parser.add_argument(
        "--columns",
        metavar="ROLE=NAME,...",
        type=_columns,
        help="with --points: which column is what, such as y=cy,x=cx, or id= for none (default: found by name)",
    )
    parser.add_argument(
        "--field",
        metavar="[Z,]Y,X",
        type=_field,
        help="with --points: where the field ends, in the units of the table, which tells cells that came over its "
        "border from those that appeared inside (default: nobody knows)",
    )


def choose_tracker(options: argparse.Namespace) -> None:
    """Fill in the tracker where none was asked for, and refuse what cannot go together.

    Raises:
        InputError: Points with images, with options for reading them or with a tracker that looks at pixels, or options
            for points without any.
    """
    points = getattr(options, "points", None)
    if points is None:
        for name in _NEED_POINTS:
            if getattr(options, name, None) is not None:
                raise InputError(f"--{name} belongs to --points FILE, which is missing")
        options.tracker = options.tracker or DEFAULT_TRACKER
        return
    options.tracker = options.tracker or FOR_POINTS
    if options.tracker not in _TAKE_POINTS:
        raise InputError(
            f"--tracker {options.tracker} looks at masks or images, and --points FILE has none; leave --tracker out, "
            f"which takes {FOR_POINTS}"
        )
    if options.images is not None:
        raise InputError(
            "-i IMAGES go with -m MASKS; --points FILE are tracked and drawn without images: leave them out"
        )
    useless = [name for name in _NEED_PIXELS if getattr(options, name, None) is not None]
    if getattr(options, "missing_frames", "refuse") != "refuse":
        useless.append("missing_frames")
    if getattr(options, "trust_masks", False):
        useless.append("trust_masks")
    if useless:
        names = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise InputError(
            f"{names} say how images and masks are read, and --points FILE has none; leave them out"
        )


def check_reads_nothing(options: argparse.Namespace, why: str) -> None:
    """Refuse options that say how pixels are read, where they would do nothing.

    Args:
        options: Of a command.
        why: What is the case, for the message.
    """
    if useless := [name for name in _NEED_PIXELS if getattr(options, name, None) is not None]:
        names = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise InputError(f"{names} would do nothing here: {why}")


def read_points_of(options: argparse.Namespace, scale: dict[str, Any]) -> "PointsTable":
    """The table that was named, checked; `scale` as `scale_of` gives it.

    Raises:
        InputError: As `read_points_table`.
    """
    from torchtrack_uq.movies.points_table import read_points_table

    return read_points_table(
        options.points,
        options.columns,
        stride=options.stride,
        field_shape=options.field,
        **scale,
    )


def _columns(text: str) -> dict[str, str | None]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} names no columns; expected such as y=cy,x=cx")
    return {role.strip(): column.strip() or None for role, _, column in pairs}


def _field(text: str) -> tuple[float, ...]:
    return numbers(text, "field; expected numbers such as 512,512")
