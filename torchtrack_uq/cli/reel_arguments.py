"""Arguments that say how much of a long movie to hold at a time."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.values import cells_at_once
from torchtrack_uq.utils.staged_folder import folder_beside

if TYPE_CHECKING:
    from torchtrack_uq.guarantees import AcceptanceThreshold
    from torchtrack_uq.movies.detections import Detections
    from torchtrack_uq.results.tracking_result import TrackingResult


def add_reel_arguments(parser: argparse.ArgumentParser) -> None:
    """`--cells-at-once`."""
    parser.add_argument(
        "--cells-at-once",
        type=cells_at_once,
        metavar="N",
        help="track a long movie in reels of about N cells that overlap, so that memory hardly grows with its length; 0 "
        "holds all of it (default: reels of 100000 for movies of 400000 cells and more, where tracker and method can)",
    )


def in_reels(
    uncertain_tracker: Any,
    detections: "Detections",
    options: argparse.Namespace,
    acceptance: "AcceptanceThreshold | None",
    settings: Mapping[str, Any],
    stack: ExitStack,
) -> "TrackingResult | None":
    """The result of a long movie, whose links lie in a folder until `stack` ends; None where it has to be held whole.

    Where reels were asked for and cannot be had, it says why.
    """
    from torchtrack_uq.assignment.piece import CannotBeCutError
    from torchtrack_uq.reels.track_reels import CELLS_AT_ONCE, is_long, track_reels

    asked = options.cells_at_once
    if not is_long(detections, asked):
        return None
    try:
        return track_reels(
            uncertain_tracker,
            detections,
            stack.enter_context(folder_beside(options.output)),
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
