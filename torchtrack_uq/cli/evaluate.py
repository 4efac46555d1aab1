"""`torchtrack-uq evaluate`."""

import argparse
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.movie_arguments import add_missing_frames_argument, add_scale_arguments
from torchtrack_uq.cli.points_arguments import choose_tracker
from torchtrack_uq.cli.shared import (
    add_annotated_folders,
    add_device_and_quiet,
    add_temperature_argument,
    add_tracker_arguments,
    annotated_inputs_of,
    dimensions_of,
    nothing_written_on_error,
    read_temperature,
    scored_movies,
    tracker_of,
)
from torchtrack_uq.utils.files import check_output_file, write_together
from torchtrack_uq.utils.optional import import_optional
from torchtrack_uq.utils.output_checks import check_file_apart

if TYPE_CHECKING:
    from torchtrack_uq.calibration import ScoredMovie
    from torchtrack_uq.layers import UncertaintyLayer
    from torchtrack_uq.links.probabilities import LinkProbabilities
    from torchtrack_uq.truth import JudgedEvents

_COUNTS = ("n_daughters", "n_unreachable", "n_after_gap")
_NOTHING_SAID = dict.fromkeys(("accuracy_after_gap", "ece_missed", "ece_false", "ece_merged", "ece_split"))
"""What the report has in any case: null where no link skips a frame, or nothing is known of the detections."""


def add_commands(commands: Any) -> None:
    """Add `evaluate` to a parser's commands."""
    evaluate = commands.add_parser(
        "evaluate", help="hold probabilities against annotated movies: accuracy, calibration, sparsification"
    )
    add_annotated_folders(evaluate)
    add_tracker_arguments(evaluate)
    add_scale_arguments(evaluate)
    add_missing_frames_argument(evaluate)
    add_temperature_argument(evaluate)
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="gets the numbers")
    evaluate.add_argument("--picture", type=Path, metavar="FILE", help="gets reliability diagrams (PNG)")
    evaluate.add_argument("--bins", type=int, default=15, help="bins of the ECE (default: %(default)s)")
    add_device_and_quiet(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from torchtrack_uq.calibration import Calibration
    from torchtrack_uq.calibration.movie_prior import movie_prior
    from torchtrack_uq.layers import UncertaintyLayer
    from torchtrack_uq.layers.paper import paper_options
    from torchtrack_uq.metrics import summarise, summarise_with_intervals
    from torchtrack_uq.trackers.gaps import max_gap_of
    from torchtrack_uq.trackers.identity import tracker_identity
    from torchtrack_uq.truth import FeasibleTruth, judge
    from torchtrack_uq.utils.device import choose_device

    choose_tracker(options)
    for file in (options.json, options.picture):
        if file is not None:
            check_output_file(file, overwrite=True)
            check_file_apart(file, annotated_inputs_of(options))
    choose_device(options.device)
    if options.picture is not None:
        import_optional("matplotlib", "files", "--picture")
    temperature = read_temperature(options)
    tracker = tracker_of(options, temperature, ndim=dimensions_of(options))
    with nothing_written_on_error():
        if isinstance(temperature, Calibration):
            asked = paper_options(options.method) if options.paper else None
            temperature.check(
                options.method, tracker_identity(tracker), options.stride, asked, max_gap_of(tracker)
            )
            layer = temperature.layer()
        else:
            layer = UncertaintyLayer(options.method, temperature, paper=options.paper)
        plain = temperature is None and not options.paper and layer.posterior.sums_assignments
        prior = movie_prior(tracker) if plain else None
        names, judged, events, crowded, used = [], [], [], [], []
        for movie in scored_movies(options, tracker, layer):
            if prior is not None:
                layer = prior.layer(layer, movie.graph)
                movie = movie.solve(layer)
            used.append(_scores_used(layer))
            probabilities = layer(movie.scores, movie.solved)
            names.append(movie.name)
            crowded.append(FeasibleTruth.of(movie.graph, movie.targets).n_crowded)
            judged.append(judge(probabilities, movie.targets).detach())
            events.append(_events(movie, layer, probabilities))
        total = summarise(judged, events, n_bins=options.bins)
        intervals = summarise_with_intervals(judged, events, n_bins=options.bins)
        each = {
            name: {"n_crowded": n, **_NOTHING_SAID, **summarise(one, event, n_bins=options.bins), **scores}
            for name, one, event, n, scores in zip(names, judged, events, crowded, used, strict=True)
        }
    report = {
        "n_crowded": sum(crowded),
        **_NOTHING_SAID,
        **total,
        "n_bins": options.bins,
        "temperature": math.exp(sum(math.log(scores["temperature"]) for scores in used) / len(used)),
        "prior": None if prior is None else prior.name,
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
    outputs: dict[Path, bytes] = {}
    if options.json is not None:
        outputs[options.json] = (json.dumps(_without_nan(report), indent=2) + "\n").encode()
    if options.picture is not None:
        outputs[options.picture] = _picture(judged, options.bins)
    write_together(outputs)
    print(_table(total, intervals))
    if prior is not None:
        print(f"temperature and event scores are from other movies: {prior.name}")
    if sum(crowded):
        print(
            f"{sum(crowded)} daughters are their mother's third or later one (frames were skipped): no feasible "
            "assignment holds them all"
        )


def _scores_used(layer: "UncertaintyLayer") -> dict[str, Any]:
    """Temperature and offsets of event scores that a movie was judged with."""
    offsets = None if layer.events is None else layer.events.values
    return {"temperature": float(layer.temperature.detach()), "offsets": offsets}


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


def _picture(judged: Any, n_bins: int) -> bytes:
    from torchtrack_uq.metrics.figures import draw_reliability
    from torchtrack_uq.truth.judged import JudgedDaughters

    daughters = JudgedDaughters.concatenate(judged)
    panels = {"all daughters": daughters, "daughters with a mother": daughters.where(daughters.has_mother)}
    content = io.BytesIO()
    draw_reliability(panels, n_bins).savefig(content, format="png", dpi=150)
    return content.getvalue()


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
