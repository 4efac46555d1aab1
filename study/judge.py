"""One row of the study's table: a method at a temperature, held against the judged frame pairs of a movie."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.noise import mean_change
from study.split import pairs_of
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.functional.calibration_error import calibration_error, negative_log_likelihood
from torchtrack_uq.functional.sparsification import sparsification_curve
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.metrics import summarise_with_intervals
from torchtrack_uq.metrics.daughters import uncertainty_of
from torchtrack_uq.posterior import map_links
from torchtrack_uq.truth import FeasibleTruth
from torchtrack_uq.truth.judged import JudgedDaughters, judge, judge_events

REMOVED = np.round(np.arange(0, 1, 0.05), 2)
"""Shares of the most uncertain daughters that are set aside in the sparsification table."""
N_SIMULATED = 100

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one row needs, and what later rows are compared with.

    Attributes:
        row: Metrics, with bounds.
        sparsification: Accuracy at `REMOVED`, by confidence and by entropy.
        nll: (D,) nats of each daughter.
        judged: The daughters.
    """

    row: Row
    sparsification: list[Row]
    nll: Tensor
    judged: JudgedDaughters


@torch.no_grad()
def judge_at(
    layer: UncertaintyLayer, movie: ScoredMovie, temperature: float, resamples: int, untempered: Tensor | None
) -> Judgement:
    """Judge a layer at a temperature.

    Args:
        layer: Its temperature is changed.
        movie: Of which the judged frame pairs are known (`part_of`), solved.
        temperature: T.
        resamples: For the bounds.
        untempered: (D,) nats of the same daughters without temperature, or None.
    """
    layer.scaler.temperature = temperature
    start = time.perf_counter()
    probabilities = layer(movie.scores, movie.solved)
    seconds = time.perf_counter() - start
    found = judge_probabilities(probabilities, movie, resamples, untempered)
    found.row["temperature"] = temperature
    found.row["seconds_posterior"] = seconds
    graph = probabilities.graph
    total = (
        segment_sum(probabilities.link.double(), graph.daughter, graph.n_cells) + probabilities.null.double()
    )
    found.row["largest_sum_error"] = (
        float((total - 1).abs()[graph.is_daughter].max()) if graph.is_daughter.any() else 0.0
    )
    found.row["most_expected_daughters"] = (
        float(probabilities.expected_daughters.max()) if graph.n_links else 0.0
    )
    return found


@torch.no_grad()
def judge_probabilities(
    probabilities: LinkProbabilities, movie: ScoredMovie, resamples: int, untempered: Tensor | None
) -> Judgement:
    """Judge probabilities that are there already; arguments as for `judge_at`."""
    judged = judge(probabilities, movie.targets).detach()
    events = judge_events(probabilities, movie.targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing to judge gives NaN, which the table shows
        metrics = summarise_with_intervals(judged, events, n_resamples=resamples)
    row: Row = {
        "n_daughters": len(judged),
        "n_unreachable": int((~judged.reachable).sum()),
        "n_null": int((~judged.has_mother).sum()),
        "n_frames_judged": len(torch.unique(judged.frame)),
    }
    for name, interval in metrics.items():
        row |= {name: interval.value, f"{name}_lower": interval.lower, f"{name}_upper": interval.upper}
    nll = negative_log_likelihood(judged.true_log_p)
    if untempered is not None:
        row |= _change(nll - untempered, judged.frame)
    row |= _noise(judged)
    if probabilities.exact is not None and probabilities.covered_mass is not None:
        pairs = pairs_of(movie)
        row["exact_share"] = float(probabilities.exact[pairs].double().mean())
        row["covered_mass"] = float(probabilities.covered_mass[pairs].double().mean())
    return Judgement(row, _sparsification(judged), nll, judged)


def movie_facts(movie: ScoredMovie) -> Row:
    """What does not depend on the method: accuracy of the MAP assignment, and daughters that none can have."""
    graph, targets = movie.graph, movie.targets
    chosen = torch.from_numpy(map_links(graph))
    mother = torch.full((graph.n_cells,), -1, dtype=torch.int64)
    mother[graph.daughter[chosen]] = graph.mother[chosen]
    right = (mother == targets.mother)[targets.known]
    return {
        "map_accuracy": float(right.double().mean()) if len(right) else float("nan"),
        "n_crowded": FeasibleTruth.of(graph, targets).n_crowded,
    }


def _change(difference: Tensor, frame: Tensor) -> Row:
    """Mean change of the NLL with its 95 % interval, and the p-value of no rise."""
    _, index = torch.unique(frame, return_inverse=True)
    total = np.bincount(index.numpy(), difference.double().numpy())
    found = mean_change(total, np.bincount(index.numpy()).astype(float))
    return {
        "nll_change": found.value,
        "nll_change_lower": found.lower,
        "nll_change_upper": found.upper,
        "nll_change_p": found.p_worse,
    }


def _noise(judged: JudgedDaughters) -> Row:
    """The ECE that these very confidences would show, were they perfectly calibrated: mean and 95 % quantile."""
    generator = torch.Generator().manual_seed(0)
    confidence = judged.confidence
    errors = torch.stack(
        [
            calibration_error(
                confidence, torch.rand(len(confidence), generator=generator, dtype=torch.float64) < confidence
            )
            for _ in range(N_SIMULATED)
        ]
    ).double()
    return {
        "ece_if_calibrated": float(errors.mean()),
        "ece_if_calibrated_upper": float(errors.quantile(0.95)),
    }


def _sparsification(judged: JudgedDaughters) -> list[Row]:
    rows = []
    for by in ("confidence", "entropy"):
        curve = sparsification_curve(uncertainty_of(judged, by), judged.correct)
        at = np.minimum((REMOVED * len(judged)).astype(int), len(judged) - 1)
        kept = {
            f"{removed:.2f}": float(curve.accuracy[int(k)]) for removed, k in zip(REMOVED, at, strict=True)
        }
        rows.append({"by": by, **kept})
    return rows
