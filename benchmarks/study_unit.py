"""Work on one unit: score a movie once, fit on its first half, judge on its second, under every method."""

import pickle
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from study_compare import fitted_events, local_rows
from study_curve import Curve, best_temperature, curve_of
from study_halves import halves
from study_judge import Judgement, Row, judge_at, movie_facts
from study_methods import Method, methods_of
from study_units import COMPARED, Unit, make_unit_tracker, read_unit

from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie
from torchtrack_uq.layers import FeaturePerturbation
from torchtrack_uq.layers.uncertainty import Scores
from torchtrack_uq.targets import LinkTargets
from torchtrack_uq.trackers import TrackastraTracker


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
    annotated, movie = read_unit(unit)
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
    return Scored(plain, perturbed, own, LinkTargets.of(annotated), seconds)


def first_pass(unit: Unit, options: Options, store: Path) -> dict[str, Any]:
    """Rows without temperature and with one fitted in time; likelihood curves for pooling.

    Args:
        unit: What to work on.
        options: Sizes.
        store: Gets the scored second halves, for `second_pass`.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CalibrationWarning)
    scored = score_unit(unit, options.n_copies)
    result: dict[str, Any] = {"rows": [], "sparsification": [], "curves": {}, "error": ""}
    kept: dict[str, Any] = {}
    for method in methods_of(unit.tracker):
        try:
            kept[method.name] = _one_method(method, scored, options, result)
        except Exception as error:
            result["rows"].append({"method": method.name, "ts": "none", "error": _one_line(error)})
    if unit.tracker in COMPARED:
        _compare(scored, options, result)
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
    first, second = halves(scores, scored.targets, method.name)
    facts = movie_facts(second) | {"seconds_scoring": scored.seconds[method.scores]}
    start = time.perf_counter()
    second = second.solve(layer)
    facts["seconds_solving"] = time.perf_counter() - start
    plain = judge_at(layer, second, 1.0, options.resamples, None)
    _add(result, method.name, "none", plain, facts)
    curve = curve_of(layer, first.solve(layer), method.step)
    result["curves"][method.name] = curve.to_json()
    best = curve_of(layer, second, method.step)
    for ts, fitted in (("in time", curve), ("oracle", best)):
        temperature = best_temperature([fitted], 1.0 if ts == "in time" else 10.0)
        found = judge_at(layer, second, temperature, options.resamples, plain.nll)
        _add(result, method.name, ts, found, facts)
    return method, second, facts, plain.nll


def _compare(scored: Scored, options: Options, result: dict[str, Any]) -> None:
    first, second = halves(scored.plain, scored.targets, "auto")
    curves = result["curves"]
    temperature = best_temperature([Curve.from_json(curves["auto"])]) if "auto" in curves else 1.0
    compared: tuple[tuple[str, Callable[[], Iterator[tuple[str, str, Judgement]]]], ...] = (
        ("local", lambda: local_rows(second, temperature, options.local_daughters, options.resamples)),
        (
            "auto, fitted events",
            lambda: fitted_events(first, second, temperature, options.event_links, options.resamples),
        ),
    )
    for what, function in compared:
        try:
            for name, ts, found in function():
                _add(result, name, ts, found, {})
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
