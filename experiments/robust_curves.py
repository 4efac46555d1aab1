"""What `experiments.robust_temperature` compares fits by: each daughter's likelihood and confidence over log T."""

import pickle
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from study.curve import COARSE, FINE, GRID
from study.units import Unit, make_unit_tracker, read_unit
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.truth.judged import judge

METHODS = {"SM": FINE, "AS": COARSE, "auto": COARSE}
LEAST = np.log(1e-12)
HOPELESS = 4.0
"""Nats a daughter above the minimum at which hotter temperatures are no longer tried; no fit goes there."""


@dataclass(frozen=True)
class DaughterCurves:
    """The D judged daughters of one movie under one tracker and method, at G temperatures.

    Attributes:
        x: (G,) log T.
        frame: (D,) frame of each daughter.
        reachable: (D,) whether her true mother is a candidate.
        nll: (G, D) nats, at most -log 1e-12.
        cross: (G, D) cross entropy of her distribution at T = 1 against that at T, nats.
        confidence: (G, D).
        correct: (G, D).
    """

    x: NDArray[np.float64]
    frame: NDArray[np.int64]
    reachable: NDArray[np.bool_]
    nll: NDArray[np.float32]
    cross: NDArray[np.float32]
    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]


def curves_of(unit: Unit, folder: Path) -> dict[str, DaughterCurves]:
    """From the folder, or computed and left there."""
    file = folder / f"{unit.key}.pickle"
    if not file.is_file():
        start = time.perf_counter()
        found = _compute(unit)
        folder.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_bytes(pickle.dumps(found))
        file.with_suffix(".part").replace(file)
        print(f"{unit.key}: {time.perf_counter() - start:.0f} s", flush=True)
    content: dict[str, DaughterCurves] = pickle.loads(file.read_bytes())
    return content


@torch.no_grad()
def _compute(unit: Unit) -> dict[str, DaughterCurves]:
    torch.set_num_threads(1)
    annotated = read_unit(unit)
    graph = make_unit_tracker(unit.tracker).candidates(annotated.detections, annotated.movie, progress=False)
    targets, found = annotated.targets(), {}
    for method, step in METHODS.items():
        layer = UncertaintyLayer(method)
        try:
            scored = ScoredMovie(unit.key, graph, targets).solve(layer)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[method] = _one(layer, scored, GRID[::step])
        except Exception as error:
            print(f"{unit.key}, {method}: {error}", flush=True)
    return found


def _one(layer: UncertaintyLayer, scored: ScoredMovie, grid: NDArray[np.float64]) -> DaughterCurves:
    graph = scored.graph
    untempered = layer(scored.scores, scored.solved)
    rows, lowest = [], np.inf
    for x in grid:
        layer.scaler.temperature = float(np.exp(x))
        p = layer(scored.scores, scored.solved)
        judged = judge(p, scored.targets)
        log_link, log_null = (value.double().clamp(min=LEAST) for value in (p.log_link, p.log_null))
        cross = -segment_sum(untempered.link.double() * log_link, graph.daughter, graph.n_cells)
        cross -= untempered.null.double() * log_null
        nll = -judged.true_log_p.clamp(min=LEAST)
        rows.append((nll, cross[judged.cell], judged.confidence, judged.correct))
        mean = float(nll[judged.reachable].mean()) if judged.reachable.any() else 0.0
        lowest = min(lowest, mean)
        if x > 0 and mean > lowest + HOPELESS:
            break
    columns = [torch.stack(column).numpy() for column in zip(*rows, strict=True)]
    return DaughterCurves(
        grid[: len(rows)],
        judged.frame.numpy(),
        judged.reachable.numpy(),
        *(column.astype(np.float32) for column in columns[:3]),
        columns[3],
    )
