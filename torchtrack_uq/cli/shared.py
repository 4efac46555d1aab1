"""Arguments that several commands share."""

import argparse
from typing import Any

from torchtrack_uq.errors import InputError


def add_tracker_arguments(parser: argparse.ArgumentParser) -> None:
    """`--tracker`, `--model`, `--search-range`, `--method` and `--stride`."""
    parser.add_argument(
        "--tracker",
        default="trackastra",
        choices=("trackastra", "distance", "overlap", "activity"),
        help="what scores the links (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default="small_2d",
        help="for trackastra: small_2d, which comes with the package; a model folder; or a published model that is "
        "downloaded once, such as general_2d (default: %(default)s)",
    )
    parser.add_argument(
        "--search-range", type=float, help="for distance: largest displacement in pixels (default: estimated)"
    )
    parser.add_argument(
        "--method",
        default="AS",
        choices=("SM", "FP", "FP+A", "AS", "exact", "auto", "bp"),
        help="how scores become probabilities, see docs/methods.md (default: %(default)s)",
    )
    parser.add_argument(
        "--stride", type=int, default=1, metavar="N", help="take every Nth frame (default: 1)"
    )


def add_temperature_argument(parser: argparse.ArgumentParser) -> None:
    """`--temperature FLOAT_OR_FILE`."""
    parser.add_argument(
        "--temperature",
        metavar="FLOAT_OR_FILE",
        help="divides all scores, above 1 for an overconfident tracker; or a file from `torchtrack-uq fit` "
        "(default: 1)",
    )


def read_temperature(options: argparse.Namespace) -> Any:
    """The `--temperature` as a number, a `Calibration`, or None."""
    given = options.temperature
    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        pass
    from torchtrack_uq.calibration import Calibration

    return Calibration.load(given)


def tracker_of(options: argparse.Namespace) -> Any:
    """The tracker that was asked for."""
    from torchtrack_uq.uncertain_tracker import make_tracker

    if options.search_range is not None and options.tracker != "distance":
        raise InputError(f"--search-range is for --tracker distance, not {options.tracker}")
    return make_tracker(
        options.tracker, options.device, model=options.model, search_range=options.search_range
    )
