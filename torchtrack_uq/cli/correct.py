"""`torchtrack-uq correct`."""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchtrack_uq.cli.shared import nothing_written_on_error
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.output_checks import check_apart, check_file_apart
from torchtrack_uq.utils.staged_folder import output_folder


def add_commands(commands: Any) -> None:
    """Add `correct` to a parser's commands."""
    correct = commands.add_parser(
        "correct",
        help="put a person's decisions into a tracked movie: corrected tracks, and what follows for their neighbours",
    )
    correct.add_argument(
        "results", type=Path, metavar="OUT", help="folder that `torchtrack-uq track` or `doubt` wrote"
    )
    correct.add_argument(
        "decisions",
        type=Path,
        metavar="DECISIONS",
        help="CSV: frame, label, verdict (mother, none, or bad for what is no cell), mother_frame, mother",
    )
    correct.add_argument(
        "-o", "--output", type=Path, required=True, metavar="NEW", help="folder for the corrected results"
    )
    correct.add_argument(
        "-i",
        "--images",
        metavar="IMAGES",
        help="the movie's images (default: where they were when it was tracked)",
    )
    correct.add_argument(
        "--refit",
        action="store_true",
        help="first fit temperature and event scores to the looks of a review that were drawn at random",
    )
    correct.add_argument("--overwrite", action="store_true", help="replace earlier results in NEW")
    correct.add_argument("--quiet", action="store_true", help="no progress bars")
    correct.set_defaults(run=_correct)


def _correct(options: argparse.Namespace) -> None:
    if options.output.resolve() == options.results.resolve():
        raise InputError(
            f"{options.output} holds the results that are corrected; choose another folder, so that nothing is lost"
        )
    from torchtrack_uq.results.own_files import own_files

    check_apart(options.output, [] if options.images is None else [Path(options.images)])
    for file in own_files(options.output):
        check_file_apart(file, [options.decisions])
    with output_folder(options.output, overwrite=options.overwrite):
        _correct_into(options)


def _correct_into(options: argparse.Namespace) -> None:
    from torchtrack_uq.calibration.annotations import read_decisions
    from torchtrack_uq.results.tracking_result import TrackingResult
    from torchtrack_uq.review.decision_log import is_log, read_log
    from torchtrack_uq.review.earlier_cells import refuse_earlier_cells
    from torchtrack_uq.review.refit import refit
    from torchtrack_uq.review.rest import changed_cells, rest_of

    logged = read_log(options.decisions) if is_log(options.decisions) else None
    refuse_earlier_cells(options.results, options.decisions)
    with nothing_written_on_error():
        result = TrackingResult.load(options.results, images=options.images)
        decisions = read_decisions(options.decisions, result.detections, max_gap=result.candidates.max_gap)
        base = result
        if options.refit:
            if logged is None:
                raise InputError(
                    f"{options.decisions} does not say which looks were drawn at random; --refit needs the file that "
                    f"`torchtrack-uq review` wrote"
                )
            base, change = refit(result, logged)
            print(change.describe())
        corrected = base.correct(decisions)
        given = [*corrected.settings.get("decisions_of", []), _described(options.decisions)]
        corrected = replace(corrected, settings={**corrected.settings, "decisions_of": given})
        corrected.save(options.output, overwrite=options.overwrite, progress=not options.quiet)
    known = decisions.known & ~decisions.bad
    changed = int((known & (decisions.mother != result.mother)).sum())
    followed = int((changed_cells(result, corrected) & ~decisions.known & ~decisions.bad).sum())
    print(
        f"{int(known.sum())} decisions: {changed} differ from the tracker's, {int(decisions.bad.sum())} detections "
        f"struck out; the mothers of {followed} other cells are others for it"
    )
    print(corrected.summary())
    if logged is not None:
        print(rest_of(result, corrected, logged).describe())
    print(
        f"results are in {options.output}: res_track.txt and masks, tracks.geff; other formats: `torchtrack-uq export`"
    )


def _described(file: Path) -> dict[str, str]:
    """Which file decisions are from, and its content when they were taken."""
    return {"file": str(file.resolve()), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
