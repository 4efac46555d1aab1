"""Arguments that say how much of a long movie to hold at a time."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.values import cells_at_once

if TYPE_CHECKING:
    from torchtrack_uq.guarantees import AcceptanceThreshold
    from torchtrack_uq.movies.detections import Detections
    from torchtrack_uq.results.stages import Stages
    from torchtrack_uq.results.tracking_result import TrackingResult


def add_reel_arguments(parser: argparse.ArgumentParser) -> None:
    """`--cells-at-once`."""
    parser.add_argument(
        "--cells-at-once",
        type=cells_at_once,
        metavar="N",
        help="track a long movie in overlapping reels of about N cells, so that memory hardly grows with its length; 0 "
        "holds all of it (default: reels of 100000 for movies of 400000 cells and more, where tracker and method can)",
    )


def in_reels(
    uncertain_tracker: Any,
    detections: "Detections",
    options: argparse.Namespace,
    acceptance: "AcceptanceThreshold | None",
    settings: Mapping[str, Any],
    stages: "Stages | None",
    stack: ExitStack,
) -> "TrackingResult | None":
    """The result of a long movie, whose links lie in a folder until `stack` ends; None where it has to be held whole.

    A run that was killed goes on from there. Where reels were asked for and cannot be had, it says why.
    """
    from torchtrack_uq.assignment.piece import CannotBeCutError
    from torchtrack_uq.reels.long_movie import CELLS_AT_ONCE, is_long, track_reels

    asked = options.cells_at_once
    if stages is None or not is_long(detections, asked):
        return None
    try:
        return track_reels(
            uncertain_tracker,
            detections,
            stack.enter_context(stages.reels()),
            options.movie,
            acceptance=acceptance,
            cells_at_once=asked or CELLS_AT_ONCE,
            settings=settings,
            progress=not options.quiet,
        )
    except CannotBeCutError as why:
        if asked:
            print(f"not tracked in reels, but as a whole: {why}", file=sys.stderr)
        return None
