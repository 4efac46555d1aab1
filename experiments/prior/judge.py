"""Every movie judged with a prior learned from all others: without annotation, with few daughters, with all."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from common.results import kept
from experiments.event_model import JUDGED_GAP
from experiments.prior.fit import KNOW_EVENTS, LOOK_AT, NAMES, fit_item, start_of
from experiments.prior.pool import Likelihood, pool
from experiments.prior.units import Item, score_item
from study.units import trained_on
from torchtrack_uq.calibration import GaussianPrior, ScoredMovie, fit_events
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.annotation_sample import AnnotationSample, usefulness
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.metrics import summarise
from torchtrack_uq.truth.judged import judge

WIDTHS = np.array([0.4, 1.5, 1.5, 1.5, 1.5])
RIDGE, RIDGE_AROUND = 1.0, 0.3
"""Widths that coefficients are free to have: of themselves, and around those of another tracker."""
SIZES = (30, 100)
DRAWS = 1
MOST_STEPS = 20
SHOWN = ("nll", "accuracy", "ece")


def learn(
    tracker: str,
    identity: str,
    version: str,
    found: Sequence[tuple[Item, Likelihood]],
    names: tuple[str, ...],
    around: MoviePrior | None = None,
) -> MoviePrior:
    """The prior of these movies.

    Args:
        tracker: What the study calls it.
        identity: What the package calls it.
        version: To be told apart by.
        found: Movies and what their annotation says.
        names: Parameters that it is about.
        around: The prior of a tracker that was seen on more movies, which this one is drawn to. Of one of
            `KNOW_EVENTS` only what a look changes: its constant is drawn to its own scores.
    """
    likelihoods = [likelihood for _, likelihood in found]
    k = len(names)
    drawn_to = None if around is None else around.coefficients
    if tracker in KNOW_EVENTS:  # the constant to its own scores, how a look moves them to the other tracker's
        drawn_to = np.zeros((1 + len(likelihoods[0].look), k)) if drawn_to is None else drawn_to.copy()
        drawn_to[0] = 0.0
    coefficients, covariance = pool(
        likelihoods,
        np.array(start_of(tracker)[:k]),
        WIDTHS[:k],
        around=drawn_to,
        ridge=RIDGE if drawn_to is None else RIDGE_AROUND,
    )
    looks = np.array([likelihood.look for likelihood in likelihoods])
    return MoviePrior(
        tracker=identity,
        version=version,
        movies=tuple(sorted({item.unit.movie for item, _ in found})),
        names=names,
        coefficients=coefficients.round(6),
        covariance=covariance.round(6),
        look_at=LOOK_AT[tracker],
        lowest=looks.min(0).round(6),
        highest=looks.max(0).round(6),
    )


def fitted_items(items: Iterable[Item], cache: Path, max_gap: int) -> list[tuple[Item, Likelihood]]:
    """Those that can be fitted, without movies that the tracker was trained on."""
    found = []
    for item in items:
        if not trained_on(item.unit.movie, item.unit.tracker):
            likelihood = fit_item(item, cache, max_gap)
            if likelihood is not None:
                found.append((item, likelihood))
    return found


def judge_item(
    item: Item, cache: Path, max_gap: int, prior: MoviePrior, *, few: bool
) -> list[dict[str, object]]:
    """Rows of a movie: what was, the prior's mean, and fits to few daughters; kept on disk beside the prior's version.

    Fits are to daughters of the first half of the frames, and all is judged on the second half too.
    """
    file = cache / f"{item.key}_{max_gap}_{prior.version}_judged{'_few' if few else ''}.json"

    def rows() -> list[dict[str, object]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _rows(score_item(item, cache, max_gap=max_gap), prior, few=few)

    return [item.columns | {"max_gap": max_gap} | row for row in kept(file, rows)]


def _rows(movie: ScoredMovie, prior: MoviePrior, *, few: bool) -> list[dict[str, object]]:
    auto = UncertaintyLayer("auto")
    rows = [
        _row("AS, T = 1", UncertaintyLayer("AS"), movie),
        _row("auto, T = 1", auto, movie),
        _row("auto, no annotation", prior.layer(auto, movie.graph), movie),
    ]
    if not few:
        return rows
    frame = movie.graph.frame
    known = movie.targets.known
    half = int(frame[known].median()) if bool(known.any()) else 0
    first, second = known & (frame <= half), movie.only(frame > half)
    if not bool(first.any()) or not second.targets.n_judged:
        return rows
    rows += [
        _row(f"second half: {name}", layer, second)
        for name, layer in (
            ("AS, T = 1", UncertaintyLayer("AS")),
            ("auto, T = 1", auto),
            ("no annotation", prior.layer(auto, movie.graph)),
        )
    ]
    at = prior.at(movie.graph)
    cells = first.nonzero().squeeze(1)
    with torch.no_grad():
        decided = prior.layer(auto, movie.graph)(movie.graph).confidence[cells].numpy()
    draws = []
    for n, draw in ((n, draw) for n in SIZES if n < len(cells) for draw in range(DRAWS)):
        draws.append((f"{n} at random", np.random.default_rng(draw).permutation(len(cells))[:n], draw))
        if n == min(SIZES):
            asked = AnnotationSample.draw(usefulness(decided), n, seed=draw)
            draws.append((f"{n} by `sample`", asked.cell, draw))
    for name, drawn, draw in draws:
        chosen = torch.zeros_like(known)
        chosen[cells[torch.as_tensor(drawn)]] = True
        layer = _fitted(movie.only(chosen), at)
        if layer is not None:
            rows.append({**_row(f"second half: {name}", layer, second), "draw": draw})
    return rows


def _fitted(movie: ScoredMovie, prior: GaussianPrior) -> UncertaintyLayer | None:
    layer = UncertaintyLayer("auto", events=EventOffsets())
    try:
        fit_events(layer, [movie], prior=prior, max_steps=MOST_STEPS)
    except InputError:
        return None
    return layer


@torch.no_grad()
def _row(name: str, layer: UncertaintyLayer, movie: ScoredMovie) -> dict[str, object]:
    found = summarise([judge(layer(movie.scores), movie.targets)])
    offsets = {} if layer.events is None else layer.events.values
    return {
        "how": name,
        "draw": 0,
        **{metric: found[metric] for metric in SHOWN},
        "n_daughters": found["n_daughters"],
        "temperature": float(layer.temperature),
        **offsets,
    }


def parameters(max_gap: int) -> tuple[str, ...]:
    """Names of what is fitted."""
    return NAMES if max_gap >= JUDGED_GAP else NAMES[:-1]
