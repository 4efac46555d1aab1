"""Whether looks pay that follow the movie: stretches of frames under one prior's mean, or each under its own."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common.data import data_folder
from experiments.event_model import with_errors
from experiments.prior.judge import MOST_STEPS
from experiments.prior.units import FEWEST_FRAMES, RATES, Item, middle_frames
from experiments.unlabelled.left_out import MAX_GAP, Priors, figures
from study.units import Unit, find_units, read_unit
from torchtrack_uq.calibration import GaussianPrior, ScoredMovie, fit_events
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.datasets import AnnotatedMovie, CorruptionRates
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.trackers import DistanceTracker
from torchtrack_uq.trackers.neighbours import can_be_linked, typical_displacements
from torchtrack_uq.truth.judged import JudgedDaughters, judge

MOVIES = (
    "Fluo-N2DH-SIM+",
    "Fluo-N2DL-HeLa",
    "ascidian-Pm02",
    "c2c12-points",
    "celegans-20241108_JIM767_25_L5",
    "cglutamicum",
    "mouse-epidermis",
)
STRIDES = (1, 4)
CUTS = (3, 5)
MOST_CELLS = 4000
"""Of a movie; stretches of larger ones are cut short around their own middles, so that beginning and end stay."""
MOST_FITTED = 1500
"""Likewise, where fits are made: they take longer."""
N_FITTED = 100
DRAWS = 1


@dataclass(frozen=True)
class Stretch:
    """A stretch of frames as a movie of its own.

    Attributes:
        common: Scored with the displacements that are typical of the whole movie.
        own: Scored with those of the stretch.
    """

    common: ScoredMovie
    own: ScoredMovie


def cut(movie: AnnotatedMovie, n: int, most_cells: int) -> list[AnnotatedMovie]:
    """Stretches of about as many frames; fewer where they would be shorter than `FEWEST_FRAMES`."""
    n_frames = movie.detections.n_frames
    n = min(n, n_frames // FEWEST_FRAMES)
    bounds = np.linspace(0, n_frames, n + 1).round().astype(int)
    parts = [movie.frames(int(a), int(b)) for a, b in pairwise(bounds)]
    return [middle_frames(part, most_cells // n) for part in parts]


def score_stretches(
    movie: AnnotatedMovie, n: int, unit: Unit, rate: float, most_cells: int = MOST_CELLS
) -> list[Stretch]:
    """Stretches with errors, scored; those without a daughter to judge are left out."""
    rates = CorruptionRates(rate, rate / 5, rate / 5, rate / 5)
    points = is_points_folder(unit.folder)
    parts = [with_errors(part, points=points, rates=rates) for part in cut(movie, n, most_cells)]
    tracker = DistanceTracker(max_gap=MAX_GAP)
    parts = [part for part in parts if can_be_linked(part.detections, MAX_GAP)]
    scales = [typical_displacements(part.detections, MAX_GAP) for part in parts]
    common = np.exp(np.mean(np.log(scales), axis=0))
    found = []
    for part, scale in zip(parts, scales, strict=True):
        targets = part.targets(MAX_GAP)
        if not targets.n_judged:
            continue
        graphs = (tracker._score(part.detections, its, None) for its in (common, scale))
        found.append(Stretch(*(ScoredMovie(part.name, graph, targets) for graph in graphs)))
    return found


def mean_at(mean: dict[str, float]) -> UncertaintyLayer:
    """Temperature and offsets as a layer."""
    offsets = {name: value for name, value in mean.items() if name != LOG_TEMPERATURE}
    return UncertaintyLayer("auto", math.exp(mean[LOG_TEMPERATURE]), events=EventOffsets(**offsets))


def between(a: dict[str, float], b: dict[str, float]) -> dict[str, float]:
    """The mean of two, which is that of the mean of their looks: the prior's mean is linear within its range."""
    return {name: (a[name] + b[name]) / 2 for name in a}


def _together(movies: list[ScoredMovie], means: list[dict[str, float]]) -> JudgedDaughters:
    parts, before = [], 0
    for movie, mean in zip(movies, means, strict=True):
        judged = judge(mean_at(mean)(movie.graph), movie.targets)
        parts.append(judged.with_tensors(frame=judged.frame + before))
        before += movie.graph.n_frames
    return JudgedDaughters.concatenate(parts)


@torch.no_grad()
def look_rows(stretches: list[Stretch], prior: MoviePrior) -> Iterator[dict[str, object]]:
    """One look and one for each stretch, at scores with common displacements and with each stretch's own."""
    n, before = len(stretches), None
    for scale in ("common", "own"):
        movies: list[ScoredMovie] = [getattr(stretch, scale) for stretch in stretches]
        one = prior.at(CandidateGraph.batch([movie.graph for movie in movies])).values
        each = [prior.at(movie.graph).values for movie in movies]
        ways = {"one look": [one] * n, "own looks": each, "half way": [between(one, its) for its in each]}
        for name, means in ways.items():
            judged = _together(movies, means)
            before = before or judged
            yield {"how": f"{scale} scale, {name}", **figures(judged, before)}


def fit_rows(halves: list[Stretch], prior: MoviePrior) -> Iterator[dict[str, object]]:
    """Fits to daughters of the first half, judged on the second."""
    first, second = (half.common for half in halves)
    whole = prior.at(CandidateGraph.batch([first.graph, second.graph]))
    here, there = prior.at(first.graph), prior.at(second.graph)
    cells = first.targets.known.nonzero().squeeze(1)
    for draw in range(DRAWS if len(cells) > N_FITTED else 1):
        chosen = torch.zeros_like(first.targets.known)
        chosen[cells[torch.as_tensor(np.random.default_rng(draw).permutation(len(cells))[:N_FITTED])]] = True
        at_whole, at_here = (_fitted(first.only(chosen), its) for its in (whole, here))
        moved = {name: at_here[name] + there.values[name] - here.values[name] for name in at_here}
        ways = {
            "fit around one look": at_whole,
            "fit around first half's look": at_here,
            "fit moved to second half's look": moved,
            "fit moved half way": between(at_here, moved),
        }
        before = None
        for name, mean in ways.items():
            with torch.no_grad():
                judged = judge(mean_at(mean)(second.graph), second.targets)
            before = before or judged
            yield {"how": name, "draw": draw, **figures(judged, before)}


def _fitted(movie: ScoredMovie, prior: GaussianPrior) -> dict[str, float]:
    layer = UncertaintyLayer("auto", events=EventOffsets())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit_events(layer, [movie], prior=prior, max_steps=MOST_STEPS)
    return {
        LOG_TEMPERATURE: math.log(found.temperature),
        **dict.fromkeys(prior.names[1:], 0.0),
        **found.offsets,
    }


def drift_rows(cache: Path, *, fits: bool) -> pd.DataFrame:
    """All movies of `MOVIES`, quick ones first: looks, or fits to few daughters."""
    priors, rows = Priors("Distance", cache), []
    units = [unit for unit in find_units(data_folder(), list(MOVIES), STRIDES) if unit.tracker == "Distance"]
    for unit in reversed(units):
        movie = read_unit(unit)
        for item in (Item(unit, rate) for rate in RATES):
            prior = priors.without(item.kind)
            for n in (2,) if fits else CUTS:
                stretches = score_stretches(movie, n, unit, item.rate, MOST_FITTED if fits else MOST_CELLS)
                if len(stretches) > 1:
                    found = fit_rows(stretches, prior) if fits else look_rows(stretches, prior)
                    rows += [{**item.columns, "cut": n, **row} for row in found]
    return pd.DataFrame(rows)
