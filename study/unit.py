"""Work on one unit: score a movie once, fit on some of its frame pairs, judge on the others, under every method."""

import math
import pickle
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from study.curve import Curve, best_temperature, cautious_temperature, curve_of
from study.extra_rows import fitted_events, local_rows
from study.judge import Row, judge_at, movie_facts
from study.methods import Method, methods_of
from study.noise import mean_change
from study.split import alternating, part_of, second_half
from study.units import COMPARED, FITTED, Unit, make_unit_tracker, read_unit
from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie
from torchtrack_uq.layers import FeaturePerturbation
from torchtrack_uq.layers.method import Scores
from torchtrack_uq.trackers import TrackastraTracker
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True)
class Options:
    """What can be made smaller for a quick run.

    Attributes:
        n_copies: Draws of noise for FP and FP+A.
        resamples: Bootstrap resamples.
        local_daughters: Daughters that the local marginals are computed for, per unit.
        event_links: Candidate links that event scores are fitted on, per unit.
    """

    n_copies: int = 20
    resamples: int = 200
    local_daughters: int = 600
    event_links: int = 20_000


@dataclass(frozen=True)
class Scored:
    """A movie under one tracker, scored in all ways that the methods need."""

    plain: Scores
    perturbed: Any
    own: Scores | None
    targets: LinkTargets
    seconds: dict[str, float]


@torch.no_grad()
def score_unit(unit: Unit, n_copies: int) -> Scored:
    """Score without noise and with; what noise never offers has score -inf."""
    annotated = read_unit(unit)
    movie = annotated.movie
    tracker = make_unit_tracker(unit.tracker)
    start = time.perf_counter()
    plain = tracker.candidates(annotated.detections, movie, progress=False)
    once = time.perf_counter() - start
    perturbed = FeaturePerturbation(n_copies)(tracker, annotated.detections, movie, progress=False)
    seconds = {"plain": once, "perturbed": time.perf_counter() - start - once, "own": once}
    own = None
    if isinstance(tracker, TrackastraTracker):
        averaging = TrackastraTracker(tracker.transformer, device="cpu", average="probabilities")
        own = averaging.candidates(annotated.detections, movie, progress=False)
    return Scored(plain, perturbed, own, annotated.targets(), seconds)


def first_pass(unit: Unit, options: Options, store: Path) -> dict[str, Any]:
    """Rows without temperature and with one fitted in time; likelihood curves for pooling.

    Args:
        unit: What to work on.
        options: Sizes.
        store: Gets what is judged, scored and solved, for `second_pass`.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CalibrationWarning)
    scored = score_unit(unit, options.n_copies)
    result: dict[str, Any] = {"rows": [], "sparsification": [], "stress": [], "curves": {}, "error": ""}
    kept: dict[str, Any] = {}
    for method in methods_of(unit.tracker):
        try:
            kept[method.name] = _one_method(method, scored, options, result)
        except Exception as error:
            result["rows"].append({"method": method.name, "ts": "none", "error": _one_line(error)})
    _compare(scored, options, result, kept, unit.tracker in COMPARED)
    temporary = store.with_suffix(".part")
    store.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(pickle.dumps(kept))
    temporary.replace(store)
    return result


def second_pass(temperatures: dict[str, float], options: Options, store: Path) -> dict[str, Any]:
    """Rows with a temperature fitted on other movies, by method."""
    torch.set_num_threads(1)
    kept = pickle.loads(store.read_bytes())
    result: dict[str, Any] = {"rows": [], "sparsification": [], "temperatures": temperatures, "error": ""}
    for name, temperature in temperatures.items():
        if name in kept:
            method, movie, facts, untempered = kept[name]
            layer = method.make(options.n_copies)
            found = judge_at(layer, movie, temperature, options.resamples, untempered)
            _add(result, name, "other movies", found, facts)
    return result


def _one_method(
    method: Method, scored: Scored, options: Options, result: dict[str, Any]
) -> tuple[Method, ScoredMovie, Row, torch.Tensor]:
    layer = method.make(options.n_copies)
    scores = method.choose(scored.perturbed, scored.own, scored.plain)
    movie = ScoredMovie(method.name, scores, scored.targets)
    start = time.perf_counter()
    movie = movie.solve(layer)
    seconds = time.perf_counter() - start
    judged = alternating(movie.graph.n_frames - 1)
    kept = part_of(movie, judged)
    facts = movie_facts(kept) | {"seconds_scoring": scored.seconds[method.scores], "seconds_solving": seconds}
    plain = judge_at(layer, kept, 1.0, options.resamples, None)
    _add(result, method.name, "none", plain, facts)
    curve = curve_of(layer, movie, method.step)
    result["curves"][method.name] = curve.to_json()
    result["stress"].append({"method": method.name, **_plain(stress_row(curve))})
    temperatures = {
        "in time": cautious_temperature([curve.only((~judged).numpy())]),
        "oracle": best_temperature([curve.only(judged.numpy())], 10.0),
    }
    for ts, temperature in temperatures.items():
        found = judge_at(layer, kept, temperature, options.resamples, plain.nll)
        _add(result, method.name, ts, found, facts)
    return method, kept, facts, plain.nll


def stress_row(curve: Curve) -> Row:
    """Fitted on the first half of the frame pairs, judged on the second: NLL of daughters that can be reached."""
    held = second_half(len(curve.n)).numpy()
    first, second = curve.only(~held), curve.only(held)
    temperature, oracle = cautious_temperature([first]), best_temperature([second], 10.0)
    before = second.at(0.0)
    found = mean_change(second.at(math.log(temperature)) - before, second.n.astype(float))
    return {
        "n_daughters": int(second.n.sum()),
        "n_frames_judged": int((second.n > 0).sum()),
        "temperature": temperature,
        "oracle_temperature": oracle,
        "nll_none": float(before.sum() / second.n.sum()),
        "nll_change": found.value,
        "nll_change_lower": found.lower,
        "nll_change_upper": found.upper,
        "nll_change_p": found.p_worse,
    }


def _compare(
    scored: Scored, options: Options, result: dict[str, Any], kept: dict[str, Any], with_local: bool
) -> None:
    movie = ScoredMovie("auto", scored.plain, scored.targets)
    judged = alternating(movie.graph.n_frames - 1)
    rows = {row["ts"]: row for row in result["rows"] if row["method"] == "auto"}
    temperature = rows["in time"]["temperature"] if "in time" in rows else 1.0

    def local() -> None:
        for name, ts, found in local_rows(
            movie, judged, temperature, options.local_daughters, options.resamples
        ):
            _add(result, name, ts, found, {})

    def events() -> None:
        _, _, facts, untempered = kept["auto"]
        result["rows"].append({**rows["none"], "method": FITTED})  # no offsets and T = 1: the same thing
        result["sparsification"] += [
            {**row, "method": FITTED}
            for row in result["sparsification"]
            if (row["method"], row["ts"]) == ("auto", "none")
        ]
        for ts, found in fitted_events(
            movie, judged, temperature, options.event_links, options.resamples, untempered
        ):
            _add(result, FITTED, ts, found, facts | {"seconds_solving": found.row["seconds_solving"]})

    for what, function in (("local", local if with_local else None), (FITTED, events)):
        try:
            if function is not None:
                function()
        except Exception as error:
            result["rows"].append({"method": what, "ts": "none", "error": _one_line(error)})


def _add(result: dict[str, Any], method: str, ts: str, found: Any, facts: Row) -> None:
    result["rows"].append({"method": method, "ts": ts, "error": "", **facts, **_plain(found.row)})
    result["sparsification"] += [{"method": method, "ts": ts, **_plain(row)} for row in found.sparsification]


def _plain(row: Row) -> Row:
    """Numbers as JSON has them, to six digits: what two runs must agree in."""
    return {
        name: (float(f"{value:.6g}") if np.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in row.items()
    }


def _one_line(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return " ".join(f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})".split())
