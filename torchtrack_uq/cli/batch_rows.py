"""Rows of `torchtrack-uq batch` are command lines of `track`: which options there are, and what is wrong with a row."""

import argparse
import warnings
from typing import NoReturn

from torchtrack_uq.cli import track
from torchtrack_uq.cli.movie_arguments import reading_of
from torchtrack_uq.errors import InputError

_OURS = {"help", "output", "overwrite", "quiet", "workers", "dask"}


class _Refusing(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def track_options() -> dict[str, argparse.Action]:
    """Options of `track` by their long names, but for those that a batch decides."""
    commands = next(one for one in _track_parser()._actions if isinstance(one, argparse._SubParsersAction))
    found = {}
    for action in commands.choices["track"]._actions:
        name = next((one[2:] for one in action.option_strings if one.startswith("--")), "")
        if name and name not in _OURS:
            found[name] = action
    return found


def wrong_with(arguments: list[str]) -> str | None:
    """What `track` would refuse in these arguments; None if nothing.

    What is wrong with a file is left to its own run, which costs no other movie.
    """
    try:
        options = _track_parser().parse_args(["track", "-o", "OUT", *arguments])
        track.check_options(options)
    except InputError as error:
        return str(error)
    return _too_few_frames(options)


def _track_parser() -> argparse.ArgumentParser:
    parser = _Refusing(add_help=False)
    commands = parser.add_subparsers(dest="command", parser_class=_Refusing)
    track.add_commands(commands)
    return parser


def _too_few_frames(options: argparse.Namespace) -> str | None:
    if options.stride == 1:
        return None
    try:
        n_frames = _n_frames(options)
    except (InputError, OSError):
        return None
    if n_frames < 2 or n_frames > options.stride:
        return None
    return f"stride {options.stride} keeps 1 of {n_frames} frames; tracking needs at least two"


def _n_frames(options: argparse.Namespace) -> int:
    """How many frames a movie has: of masks by names and headers, no pixel is read."""
    from torchtrack_uq.movies.frames import open_frames
    from torchtrack_uq.movies.points_table import read_points_table

    if options.points is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its run says them
            return read_points_table(options.points, options.columns).detections.n_frames
    reading = reading_of(options)
    reading["channel"] = reading.pop("mask_channel")
    return open_frames(options.masks, "masks", role="masks", **reading).n_frames
