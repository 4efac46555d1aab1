"""`torchtrack-uq fit` and `torchtrack-uq evaluate`."""

import argparse
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.shared import (
    add_segmentation_argument,
    add_temperature_argument,
    add_tracker_arguments,
    nothing_written_on_error,
    read_temperature,
    tracker_of,
)
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.optional import import_optional
from torchtrack_uq.utils.registry import with_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchtrack_uq.calibration import ScoredMovie
    from torchtrack_uq.layers import UncertaintyLayer
    from torchtrack_uq.links.probabilities import LinkProbabilities
    from torchtrack_uq.trackers import Tracker
    from torchtrack_uq.truth import JudgedEvents

_COUNTS = ("n_daughters", "n_unreachable", "n_after_gap")
_NOTHING_SAID = dict.fromkeys(("accuracy_after_gap", "ece_missed", "ece_false", "ece_merged", "ece_split"))
"""What the report has in any case: null where no link skips a frame, or nothing is known of the detections."""


def add_commands(commands: Any) -> None:
    """Add `fit` and `evaluate` to a parser's commands."""
    fit = commands.add_parser(
        "fit", help="fit a temperature on annotated movies, so that 80 %% sure means right 80 %% of the time"
    )
    _add_folders(fit)
    fit.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="gets the calibration (JSON)"
    )
    add_tracker_arguments(fit)
    fit.add_argument(
        "--events",
        action="store_true",
        help="also fit what appearing, disappearing and dividing cost, by the joint likelihood",
    )
    fit.add_argument(
        "--event-model",
        action="store_true",
        help="as --events, and let these costs depend on how far the border is and how large a cell is",
    )
    fit.add_argument(
        "--prior-width",
        type=float,
        default=0.5,
        metavar="WIDTH",
        help="draws T to 1 where annotations are few: width of a prior on log T; inf for none (default: 0.5)",
    )
    fit.add_argument(
        "--not-cautious",
        dest="cautious",
        action="store_false",
        help="take the fitted T even if it is no gain on annotated frames left out of the fit (default: T = 1 then; "
        "with --events there is no such check)",
    )
    _add_rest(fit)
    fit.set_defaults(run=_fit)

    evaluate = commands.add_parser(
        "evaluate", help="hold probabilities against annotated movies: accuracy, calibration, sparsification"
    )
    _add_folders(evaluate)
    add_tracker_arguments(evaluate)
    add_temperature_argument(evaluate)
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="gets the numbers")
    evaluate.add_argument("--picture", type=Path, metavar="FILE", help="gets reliability diagrams (PNG)")
    evaluate.add_argument("--bins", type=int, default=15, help="bins of the ECE (default: %(default)s)")
    _add_rest(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="CTC_FOLDER", help="annotated sequence, such as data/NAME/01"
    )
    add_segmentation_argument(parser)


def _add_rest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _fit(options: argparse.Namespace) -> None:
    from torchtrack_uq.calibration import (
        EventFit,
        TemperatureFit,
        describe_fit,
        fit_events,
        fit_temperature,
    )
    from torchtrack_uq.layers import EventModel, EventOffsets, UncertaintyLayer
    from torchtrack_uq.metrics import summarise
    from torchtrack_uq.utils.device import choose_device

    choose_device(options.device)
    if options.output.is_dir():
        raise InputError(f"{options.output} is a folder; expected a file to write, such as calibration.json")
    width = None if math.isinf(options.prior_width) else options.prior_width
    with_events = options.events or options.event_model
    events = (EventModel() if options.event_model else EventOffsets()) if with_events else None
    layer = UncertaintyLayer(options.method, events=events, paper=options.paper)
    tracker = tracker_of(options)
    with nothing_written_on_error():
        movies = list(_scored(options, tracker, layer))
        before = summarise([movie.judge(layer) for movie in movies])
        fit: TemperatureFit | EventFit = fit_temperature(
            layer, movies, prior_width=width, cautious=options.cautious and not with_events
        )
        if with_events:
            fit = fit_events(layer, movies, prior_width=width)
        fitted = describe_fit(layer, tracker, movies, fit, stride=options.stride, before=before)
        fitted.save(options.output)
    method = with_options(fitted.method, fitted.method_options)
    print(
        f"T = {fitted.temperature:.4g} for {options.tracker}, {method}, stride {options.stride}, "
        f"fitted on {fitted.n_daughters} daughters of {len(movies)} movie(s)"
    )
    if fitted.offsets is not None:
        offsets = ", ".join(f"{name} {value:+.2f}" for name, value in fitted.offsets.items())
        print(f"event scores changed by {offsets} (nats, after dividing by T)")
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
        "on these movies, which is milder than on new ones: "
        f"NLL (reachable daughters) {fitted.nll_before:.4f} -> {fitted.nll_after:.4f}, "
        f"ECE {fitted.ece_before:.4f} -> {fitted.ece_after:.4f}"
    )
    print(f"use it with --temperature {options.output}")


def _evaluate(options: argparse.Namespace) -> None:
    from torchtrack_uq.calibration import Calibration
    from torchtrack_uq.layers import UncertaintyLayer
    from torchtrack_uq.layers.paper import paper_options
    from torchtrack_uq.metrics import summarise, summarise_with_intervals
    from torchtrack_uq.trackers.gaps import max_gap_of
    from torchtrack_uq.trackers.identity import tracker_identity
    from torchtrack_uq.truth import FeasibleTruth, judge
    from torchtrack_uq.utils.device import choose_device
    from torchtrack_uq.utils.files import write_atomically

    choose_device(options.device)
    if options.picture is not None:
        import_optional("matplotlib", "files", "--picture")
    temperature = read_temperature(options)
    tracker = tracker_of(options, temperature)
    with nothing_written_on_error():
        if isinstance(temperature, Calibration):
            asked = paper_options(options.method) if options.paper else None
            temperature.check(
                options.method, tracker_identity(tracker), options.stride, asked, max_gap_of(tracker)
            )
            layer = temperature.layer()
        else:
            layer = UncertaintyLayer(options.method, temperature, paper=options.paper)
        names, judged, events, crowded = [], [], [], []
        for movie in _scored(options, tracker, layer):
            probabilities = layer(movie.scores, movie.solved)
            names.append(movie.name)
            crowded.append(FeasibleTruth.of(movie.graph, movie.targets).n_crowded)
            judged.append(judge(probabilities, movie.targets).detach())
            events.append(_events(movie, layer, probabilities))
        total = summarise(judged, events, n_bins=options.bins)
        intervals = summarise_with_intervals(judged, events, n_bins=options.bins)
        each = {
            name: {"n_crowded": n, **_NOTHING_SAID, **summarise(one, event, n_bins=options.bins)}
            for name, one, event, n in zip(names, judged, events, crowded, strict=True)
        }
    report = {
        "n_crowded": sum(crowded),
        **_NOTHING_SAID,
        **total,
        "n_bins": options.bins,
        "temperature": float(layer.temperature.detach()),
        "tracker": options.tracker,
        "method": options.method,
        "method_options": layer.options,
        "stride": options.stride,
        "max_gap": max_gap_of(tracker),
        "segmentation": None
        if options.segmentation is None
        else [str(path) for path in options.segmentation],
        "intervals": {name: [value.lower, value.upper] for name, value in intervals.items()},
        "sequences": each,
    }
    if options.json is not None:
        write_atomically(options.json, (json.dumps(_without_nan(report), indent=2) + "\n").encode())
    if options.picture is not None:
        _save_picture(judged, options.picture, options.bins)
    print(_table(total, intervals))
    if sum(crowded):
        print(
            f"{sum(crowded)} daughters are their mother's third or later one (frames were skipped): no feasible "
            "assignment holds them all"
        )


def _scored(
    options: argparse.Namespace, tracker: "Tracker", layer: "UncertaintyLayer"
) -> "Iterator[ScoredMovie]":
    """The annotated movies that were named, scored one after the other."""
    from torchtrack_uq.calibration import score_folders

    return score_folders(
        options.folders,
        tracker,
        layer,
        options.stride,
        segmentation=options.segmentation,
        progress=not options.quiet,
    )


def _events(
    movie: "ScoredMovie", layer: "UncertaintyLayer", probabilities: "LinkProbabilities"
) -> dict[str, "JudgedEvents"]:
    """What happened to links, cells and detections of a movie, as far as anything can be said about it."""
    from torchtrack_uq.posterior.false_cells import false_cells
    from torchtrack_uq.posterior.merged_split import merged_and_split
    from torchtrack_uq.truth import judge_detections, judge_events

    events = judge_events(probabilities, movie.targets)
    if movie.detection_truth is not None:
        p_false, _ = false_cells(probabilities, layer.tempered(movie.graph))
        p = {"false": p_false.to(movie.graph.device)}
        if movie.detections is not None:
            merged, split = merged_and_split(movie.detections, probabilities)
            p |= {"merged": merged.to(movie.graph.device), "split": split.to(movie.graph.device)}
        found = judge_detections(p, movie.detection_truth, movie.graph.frame)
        events |= {kind: judged for kind, judged in found.items() if len(judged.frame)}
    return events


def _save_picture(judged: Any, file: Path, n_bins: int) -> None:
    from torchtrack_uq.metrics.figures import draw_reliability
    from torchtrack_uq.truth.judged import JudgedDaughters
    from torchtrack_uq.utils.files import write_atomically

    daughters = JudgedDaughters.concatenate(judged)
    panels = {"all daughters": daughters, "daughters with a mother": daughters.where(daughters.has_mother)}
    content = io.BytesIO()
    draw_reliability(panels, n_bins).savefig(content, format="png", dpi=150)
    write_atomically(file, content.getvalue())


def _table(total: dict[str, Any], intervals: dict[str, Any]) -> str:
    lines = [f"{total['n_daughters']} daughters ({total['n_unreachable']} whose true mother is no candidate)"]
    if total["n_after_gap"]:
        lines.append(f"{total['n_after_gap']} of them were missed in the frame before")
    for name, value in total.items():
        if name not in _COUNTS:
            low, high = intervals[name].lower, intervals[name].upper
            known = math.isfinite(low) and math.isfinite(high)
            spread = f"   95 % of resampled frames: {low:.4f} to {high:.4f}" if known else ""
            lines.append(f"  {name:<20} {value:8.4f}{spread}")
    if all(math.isnan(interval.lower) for interval in intervals.values()):
        lines.append("one frame only: no interval")
    return "\n".join(lines)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
