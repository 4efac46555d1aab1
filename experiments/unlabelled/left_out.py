"""Movies with the prior that other kinds of movies teach, and how a change of their probabilities is judged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.data import data_folder
from experiments.prior.__main__ import chosen_items
from experiments.prior.judge import fitted_items, learn, parameters
from experiments.prior.units import Item
from study.noise import mean_change
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.metrics import summarise
from torchtrack_uq.truth.judged import JudgedDaughters

MAX_GAP = 2
LEAST = 1e-6
"""Probabilities below count as this, as in `summarise`."""


class Priors:
    """The prior of a tracker without one kind of movies, from fits to single movies that are on disk already.

    Args:
        tracker: What the study calls it.
        cache: Of `experiments.prior`; nothing is written there.
    """

    def __init__(self, tracker: str, cache: Path) -> None:
        items = [
            item
            for item in chosen_items(data_folder(), tracker, MAX_GAP)
            if all((cache / f"{item.key}_{MAX_GAP}.{kind}").is_file() for kind in ("json", "pt"))
        ]
        self.tracker, self.fitted = tracker, fitted_items(items, cache, MAX_GAP)
        self._known: dict[str, MoviePrior] = {}

    def without(self, kind: str) -> MoviePrior:
        """Learned from all movies of other kinds."""
        if kind not in self._known:
            others = [pair for pair in self.fitted if pair[0].kind != kind]
            name, names = f"without-{kind}", parameters(MAX_GAP)
            self._known[kind] = learn(self.tracker, self.tracker.lower(), name, others, names)
        return self._known[kind]

    def items(self, strides: tuple[int, ...]) -> Iterator[tuple[Item, MoviePrior]]:
        """Every movie with the prior that has not seen its kind."""
        return ((item, self.without(item.kind)) for item, _ in self.fitted if item.unit.stride in strides)


def losses(judged: JudgedDaughters) -> Tensor:
    """(D,) nats of each daughter."""
    return -judged.true_log_p.detach().clamp(min=float(np.log(LEAST)))


@torch.no_grad()
def figures(judged: JudgedDaughters, before: JudgedDaughters) -> dict[str, float]:
    """Metrics, and the change of the NLL against the same daughters before with its noise over frames."""
    found = summarise([judged])
    frames = judged.frame.numpy()
    change = (losses(judged) - losses(before)).numpy()
    noise = mean_change(np.bincount(frames, change).astype(float), np.bincount(frames).astype(float))
    return {
        **{name: float(found[name]) for name in ("nll", "ece", "accuracy")},
        "n_daughters": len(judged),
        "change": noise.value,
        "p_worse": noise.p_worse,
    }
