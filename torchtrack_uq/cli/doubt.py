"""`torchtrack-uq doubt`."""

import argparse
import shlex
import warnings
from pathlib import Path
from typing import Any

from torchtrack_uq.cli.movie_arguments import (
    add_reading_arguments,
    add_scale_arguments,
    inputs_of,
    reading_of,
    scale_of,
)
from torchtrack_uq.cli.shared import (
    add_device_and_quiet,
    add_temperature_argument,
    add_tracker_arguments,
    has_models,
    nothing_written_on_error,
    read_temperature,
    tracker_of,
)
from torchtrack_uq.cli.values import numbers
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.output_checks import check_apart
from torchtrack_uq.utils.staged_folder import output_folder


def add_commands(commands: Any) -> None:
    """Add `doubt` to a parser's commands."""
    doubt = commands.add_parser(
        "doubt",
        help="another tracker's result in, the probability of each of its links out, doubtful ones first",
    )
    doubt.add_argument(
        "tracks",
        nargs="+",
        type=Path,
        metavar="RESULT",
        help="TrackMate XML or CSV (spots, edges), LapTrack CSV (tracks, splits, merges), Mastodon CSV (spots and "
        "links), CSV of trackpy, btrack, Trackastra's edges, ultrack or napari, btrack HDF5, a geff graph, or a Cell "
        "Tracking Challenge folder",
    )
    doubt.add_argument(
        "-m",
        "--masks",
        help="the label masks that were tracked (default: those of a Cell Tracking Challenge folder; otherwise the "
        "spots are points)",
    )
    doubt.add_argument(
        "-i", "--images", help="images, for the review page and for trackers that look at them"
    )
    doubt.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    doubt.add_argument(
        "--overwrite", action="store_true", help="replace earlier results in the output folder"
    )
    doubt.add_argument(
        "--pixel-size",
        type=_pixel_size,
        metavar="[Z,Y,]X",
        help="size of a pixel in the units of RESULT's positions, one number or one an axis, where these are not "
        "pixels (default: what a TrackMate XML states, else 1)",
    )
    doubt.add_argument(
        "--first-frame",
        type=int,
        default=0,
        metavar="N",
        help="what RESULT calls the first frame of MASKS (default: %(default)s)",
    )
    add_scale_arguments(doubt)
    add_reading_arguments(doubt)
    add_tracker_arguments(doubt)
    add_temperature_argument(doubt)
    add_device_and_quiet(doubt)
    doubt.set_defaults(run=_doubt, tracker="distance")


def _doubt(options: argparse.Namespace) -> None:
    check_apart(options.output, [*inputs_of(options), *options.tracks])
    with output_folder(options.output, overwrite=options.overwrite):
        _doubt_into(options)


def _doubt_into(options: argparse.Namespace) -> None:
    for path in options.tracks:
        if not path.exists():
            raise InputError(f"{path} does not exist; expected a finished tracking")
    if options.paper:
        raise InputError("--paper knows frame pairs only; leave it out, or track with it")
    from torchtrack_uq.exchange.read_tracks import read_tracks
    from torchtrack_uq.exchange.score_tracks import dimensions_of_tracks, longest_links, score_tracks
    from torchtrack_uq.results.proof import CoverageWarning
    from torchtrack_uq.results.save import check_can_save
    from torchtrack_uq.utils.device import choose_device

    check_can_save()
    choose_device(options.device)
    temperature = read_temperature(options)
    progress = not options.quiet
    tracks = read_tracks(
        options.tracks, pixel_size=options.pixel_size, first_frame=options.first_frame, progress=progress
    )
    if options.max_gap is None and getattr(temperature, "max_gap", None) is None:
        options.max_gap = longest_links(tracks)
    with nothing_written_on_error(), warnings.catch_warnings():
        reading = {**scale_of(options), **reading_of(options)}
        ndim = 2  # matters to models only; else masks are opened once
        if has_models(options):
            ndim = dimensions_of_tracks(tracks, options.masks, options.images, options.stride, **reading)
        warnings.simplefilter("ignore", CoverageWarning)  # its sentence stands in the summary
        scored = score_tracks(
            tracks,
            options.masks,
            options.images,
            tracker=tracker_of(options, temperature, ndim=ndim),
            method=options.method,
            temperature=temperature,
            stride=options.stride,
            **reading,
            progress=progress,
        )
        scored.save(options.output, overwrite=options.overwrite, progress=progress)
    print(scored.summary())
    out = shlex.quote(str(options.output))
    print(
        f"results are in {options.output}: doubts.csv has the most doubtful first; settle them on a page with "
        f"`torchtrack-uq review {out}`"
    )


def _pixel_size(text: str) -> float | tuple[float, ...]:
    found = numbers(text, "size; expected one number, or one an axis such as 2,0.5,0.5")
    return found[0] if len(found) == 1 else found
