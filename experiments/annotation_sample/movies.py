"""Simulated movies as lists of decisions: probability, whether right, and the score of the truth."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq import DistanceTracker, UncertaintyLayer
from torchtrack_uq.datasets.simulator import simulate_movie
from torchtrack_uq.guarantees import true_scores
from torchtrack_uq.posterior import map_links
from torchtrack_uq.truth import judge, judge_decisions
from torchtrack_uq.truth.judged import true_log_p

Floats = NDArray[np.float64]
KINDS = {
    "easy": "cells move 1.5 pixels",
    "crowded": "cells move 5 pixels, every sixth decision is wrong or so",
    "overconfident": "as crowded, scores times 5",
    "wrong where sure": "as easy; besides, the surest decisions are wrong, 7 % of all",
    "one too many": "all right, but for the surest 5 % and one more",
}
SPOILT = ("wrong where sure", "one too many")
TEMPERATURES = np.geomspace(0.2, 20, 60)
LARGEST_NLL = 20.0


@dataclass(frozen=True, eq=False)
class Decided:
    """N decisions of one movie and what is known of its N daughters."""

    kind: str
    probability: Floats
    linked: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    confidence: Floats
    likeliest_right: NDArray[np.bool_]
    entropy: Floats
    nll: Floats
    truth: Floats
    """Nonconformity (LAC) of the truth; inf where it is no candidate."""
    nll_at: Floats
    """(T, N), minus log-probability of the truth under SM at each of `TEMPERATURES`."""


@torch.no_grad()
def track(kind: str, seed: int) -> Decided:
    """Simulate and track one movie."""
    motion = 5.0 if kind in ("crowded", "overconfident") else 1.5
    movie = simulate_movie(
        n_frames=24,
        n_cells=70,
        size=(256, 256),
        motion=motion,
        divide=0.02,
        disappear=0.02,
        appear=1.0,
        seed=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = DistanceTracker().candidates(movie.detections, progress=False)
        temperature = 0.2 if kind == "overconfident" else 1.0
        p = UncertaintyLayer("auto", temperature)(graph)
    targets = movie.targets()
    decisions, judged = judge_decisions(p, map_links(graph), targets), judge(p, targets)
    found = Decided(
        kind=kind,
        probability=decisions.probability,
        linked=decisions.linked,
        correct=decisions.correct,
        confidence=judged.confidence.numpy(),
        likeliest_right=judged.correct.numpy(),
        entropy=judged.entropy.numpy(),
        nll=_nll(judged.true_log_p),
        truth=true_scores(p, targets).numpy(),
        nll_at=np.stack(
            [_nll(true_log_p(UncertaintyLayer("SM", temperature * T)(graph), targets)) for T in TEMPERATURES]
        ),
    )
    return found if kind not in SPOILT else _spoil(found)


def _spoil(movie: Decided) -> Decided:
    """The same movie with another truth: the decisions least likely to be drawn are wrong."""
    n = len(movie.correct)
    alone = movie.kind == "one too many"
    surest = np.argsort(-movie.probability, kind="stable")[: int(0.05 * n) + 1 if alone else round(0.07 * n)]
    right, likeliest, truth, nll = (
        values.copy() for values in (movie.correct, movie.likeliest_right, movie.truth, movie.nll)
    )
    if alone:
        right[:] = True
    right[surest] = likeliest[surest] = False
    truth[surest], nll[surest] = 1.0, LARGEST_NLL
    return replace(movie, correct=right, likeliest_right=likeliest, truth=truth, nll=nll)


def _nll(log_p: torch.Tensor) -> Floats:
    return -log_p.clamp(min=-LARGEST_NLL).numpy()
