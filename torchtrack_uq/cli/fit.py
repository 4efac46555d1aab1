"""`torchtrack-uq fit`."""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.movie_arguments import (
    add_reading_arguments,
    add_scale_arguments,
    inputs_of,
    open_movie,
    scale_of,
)
from torchtrack_uq.cli.points_arguments import (
    add_points_argument,
    add_points_details,
    check_reads_nothing,
    choose_tracker,
    read_points_of,
)
from torchtrack_uq.cli.shared import (
    add_annotated_folders,
    add_device_and_quiet,
    add_tracker_arguments,
    annotated_inputs_of,
    dimensions_of,
    nothing_written_on_error,
    scored_movies,
    tracker_of,
)
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import check_output_file
from torchtrack_uq.utils.output_checks import check_file_apart
from torchtrack_uq.utils.registry import with_options

if TYPE_CHECKING:
    from torchtrack_uq.calibration import EventFit, ScoredMovie
    from torchtrack_uq.layers import UncertaintyLayer
    from torchtrack_uq.movies.movie import Movie
    from torchtrack_uq.movies.points_table import PointsTable
    from torchtrack_uq.trackers import Tracker


def add_commands(commands: Any) -> None:
    """Add `fit` to a parser's commands."""
    fit = commands.add_parser(
        "fit", help="fit a temperature on annotated movies, so that 80 %% sure means right 80 %% of the time"
    )
    add_annotated_folders(fit, optional=True)
    fit.add_argument(
        "--decisions",
        type=Path,
        metavar="FILE",
        help="in place of CTC_FOLDERs: what a person said about some cells of a movie that is given by -m and -i or by "
        "--points, as `torchtrack-uq sample` asks for it; thirty are a start",
    )
    fit.add_argument("-m", "--masks", metavar="MASKS", help="with --decisions: the movie's label masks")
    fit.add_argument(
        "-i", "--images", metavar="IMAGES", help="with --decisions: its images, if the tracker needs them"
    )
    fit.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="gets the calibration (JSON)"
    )
    add_points_argument(fit)
    add_points_details(fit)
    add_scale_arguments(fit)
    add_reading_arguments(fit)
    add_tracker_arguments(fit)
    what = fit.add_mutually_exclusive_group()
    what.add_argument(
        "--events",
        action="store_true",
        help="fit what appearing, disappearing, dividing and being missed cost along with T, by the joint likelihood; "
        "the default where other movies say beforehand what to expect (all trackers that come with the package)",
    )
    what.add_argument(
        "--event-model",
        action="store_true",
        help="as --events, and let these costs depend on how far the border is and how large a cell is",
    )
    what.add_argument("--temperature-only", action="store_true", help="fit T and leave event scores alone")
    fit.add_argument(
        "--prior-width",
        type=float,
        metavar="WIDTH",
        help="draws T to 1, and event scores to the tracker's own, where annotations are few, in place of what other "
        "movies say: width of a prior on log T; inf for none (default with --temperature-only and for other trackers: "
        "0.5)",
    )
    fit.add_argument(
        "--not-cautious",
        dest="cautious",
        action="store_false",
        help="with --temperature-only, take the fitted T even if it is no gain on annotated frames left out of the fit "
        "(default: T = 1 then)",
    )
    add_device_and_quiet(fit)
    fit.set_defaults(run=_fit)


def _fit(options: argparse.Namespace) -> None:
    from torchtrack_uq.calibration import (
        EventFit,
        TemperatureFit,
        describe_fit,
        fit_events,
        fit_temperature,
    )
    from torchtrack_uq.calibration.annotations import drawn_evenly
    from torchtrack_uq.calibration.movie_prior import mean_prior, movie_prior
    from torchtrack_uq.layers import EventModel, EventOffsets, UncertaintyLayer
    from torchtrack_uq.metrics import summarise
    from torchtrack_uq.utils.device import choose_device

    choose_tracker(options)
    choose_device(options.device)
    if options.output.is_dir():
        raise InputError(f"{options.output} is a folder; expected a file to write, such as calibration.json")
    check_output_file(options.output, overwrite=True)
    check_file_apart(options.output, [*annotated_inputs_of(options), *inputs_of(options), options.decisions])
    given = 0.5 if options.prior_width is None else options.prior_width
    width = None if math.isinf(given) else given
    with nothing_written_on_error():
        movie, points = _decided(options)
    if movie is not None:
        ndim = len(movie.frame_shape)
    else:
        ndim = dimensions_of(options) if points is None else points.detections.ndim
    tracker = tracker_of(options, ndim=ndim)
    there_is = None if options.paper else movie_prior(tracker)
    known = there_is if options.prior_width is None else None
    asked = options.events or options.event_model
    sums = UncertaintyLayer(options.method, paper=options.paper).posterior.sums_assignments
    with_events = asked or (there_is is not None and sums and not options.temperature_only)
    events = (EventModel() if options.event_model else EventOffsets()) if with_events else None
    layer = UncertaintyLayer(options.method, events=events, paper=options.paper)
    with nothing_written_on_error():
        if options.decisions is None:
            movies = list(scored_movies(options, tracker, layer))
        else:
            movies = [_movie_of_decisions(options, movie, points, tracker, layer)]
        before = summarise([movie.judge(layer) for movie in movies])
        prior = None
        if with_events:
            if known is not None:
                prior = mean_prior([known.at(movie.graph) for movie in movies])
            fit: TemperatureFit | EventFit = fit_events(layer, movies, prior=prior, prior_width=width)
        else:
            fit = fit_temperature(layer, movies, prior_width=width, cautious=options.cautious)
        name = None if prior is None or known is None else known.name
        fitted = describe_fit(layer, tracker, movies, fit, stride=options.stride, before=before, prior=name)
        uneven = options.decisions is not None and not drawn_evenly(options.decisions)
        if uneven:  # counts of right and wrong decisions would be taken for those of a random sample
            fitted = replace(fitted, review=None)
        fitted.save(options.output)
    method = with_options(fitted.method, fitted.method_options)
    print(
        f"T = {fitted.temperature:.4g} for {options.tracker}, {method}, stride {options.stride}, "
        f"fitted on {fitted.n_daughters} daughters of {len(movies)} movie(s)"
    )
    if fitted.offsets is not None:
        offsets = ", ".join(f"{name} {value:+.2f}" for name, value in fitted.offsets.items())
        print(f"event scores changed by {offsets} (nats, after dividing by T)")
    if isinstance(fit, EventFit):
        print(_in_words(fit, fitted.prior))
    if fitted.event_model is not None:
        print("and by " + ", ".join(f"{name} {value:.2f}" for name, value in fitted.event_model.items()))
    if isinstance(fit, EventFit):
        if fit.n_unreachable + fit.n_crowded:
            print(
                f"{fit.n_unreachable} daughters whose true mother is no candidate, and {fit.n_crowded} beyond their "
                "mother's second, counted as having none"
            )
    elif fit.n_unreachable:
        print(f"{fit.n_unreachable} daughters were left out: their true mother is no candidate")
    print(
        f"on these {'daughters' if uneven else 'movies'}, which is milder than on new ones, "
        "against T = 1 and the tracker's own event scores: "
        f"NLL (reachable daughters) {fitted.nll_before:.4f} -> {fitted.nll_after:.4f}, "
        f"ECE {fitted.ece_before:.4f} -> {fitted.ece_after:.4f}"
    )
    if uneven:
        print(
            "the list prefers doubtful decisions: NLL and ECE are those of the list and not of the movie, and "
            "--accept-error can promise nothing with this file; see docs/guarantees.md, or sample with --random 1"
        )
    print(f"use it with --temperature {options.output}")


def _decided(options: argparse.Namespace) -> "tuple[Movie | None, PointsTable | None]":
    """The masks or the points whose cells `--decisions` are about, neither where annotated folders are fitted to."""
    if options.decisions is None:
        if not options.folders or options.masks or options.images or options.points:
            raise InputError(
                "fit needs annotated movies: give CTC_FOLDERs; or --decisions FILE with -m MASKS (and -i IMAGES) or "
                "--points FILE"
            )
        check_reads_nothing(
            options, "annotated folders are read as they are; --decisions FILE is what they go with"
        )
        return None, None
    if options.folders or options.segmentation or (options.masks is None) == (options.points is None):
        raise InputError(
            "--decisions FILE are those of one movie: give its masks with -m MASKS (and -i IMAGES) or its --points "
            "FILE, no CTC_FOLDER and no --segmentation"
        )
    if options.points is None:
        return open_movie(options), None
    return None, read_points_of(options, scale_of(options))


def _movie_of_decisions(
    options: argparse.Namespace,
    movie: "Movie | None",
    points: "PointsTable | None",
    tracker: "Tracker",
    layer: "UncertaintyLayer",
) -> "ScoredMovie":
    """One movie of which some cells are annotated, scored."""
    import torch

    from torchtrack_uq.calibration import ScoredMovie
    from torchtrack_uq.calibration.annotations import read_annotations
    from torchtrack_uq.layers.method import graph_of
    from torchtrack_uq.movies.detections import Detections
    from torchtrack_uq.trackers.gaps import max_gap_of

    if movie is not None:
        detections = Detections.from_movie(movie, progress=not options.quiet)
    else:
        assert points is not None
        detections = points.detections
    targets = read_annotations(options.decisions, detections, max_gap=max_gap_of(tracker))
    with torch.no_grad():
        scores = layer.scores(tracker, detections, movie, progress=not options.quiet)
    targets = targets.to(graph_of(scores).device)
    name = str(options.decisions)
    return ScoredMovie(name, scores, targets, layer.solve(scores), detections=detections)


def _in_words(fit: "EventFit", prior: str | None) -> str:
    """How sure the fit is, and what more annotation would buy."""
    from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE

    errors = fit.certainty.standard_errors
    low, high = (math.exp(end) for end in fit.certainty.interval(LOG_TEMPERATURE))
    offsets = ", ".join(f"{name} {errors[name]:.2g}" for name in fit.offsets if name in errors)
    n = fit.n_daughters
    now, more = (fit.certainty.expected_excess(k) for k in (n, 3 * n))
    return (
        f"T lies between {low:.3g} and {high:.3g} (95 %), standard errors of the offsets: {offsets}"
        f"{'' if prior is None else f'; prior: {prior}'}\n"
        f"what is left open costs about {now:.2g} nats a daughter; with three times as many annotated ones {more:.2g}"
    )
