"""Whether displacements that follow the movie pay: whole movies under the prior's mean, one scale or many."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common.data import data_folder
from experiments.event_model import with_errors
from experiments.prior.units import RATES, Item, find_items, middle_frames
from experiments.unlabelled.left_out import MAX_GAP, Priors, figures
from experiments.unlabelled.local_displacements import (
    CELLS_A_STRETCH,
    displacements_by_frame,
    local_candidates,
)
from study.units import read_unit
from torchtrack_uq.datasets import AnnotatedMovie, CorruptionRates
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.truth.judged import judge

MOST_CELLS = 6000
SIZES = (1000, 2000)
STRIDES = (1, 2, 4, 8)
SKIPPED = 3
"""Of the embryos of one kind every so many is used, as for the prior."""


def scored(movie: AnnotatedMovie, cells_a_stretch: int | None) -> CandidateGraph:
    """Candidate links with one scale, or with one for each stretch of so many cells."""
    cells = movie.detections
    size = len(cells) + 1 if cells_a_stretch is None else cells_a_stretch
    return local_candidates(cells, displacements_by_frame(cells, MAX_GAP, size))


@torch.no_grad()
def whole_rows(cache: Path) -> pd.DataFrame:
    """All movies with cells enough for two stretches."""
    priors, rows = Priors("Distance", cache), []
    items = find_items(data_folder(), "Distance", STRIDES)
    embryos = sorted({item.unit.movie for item in items if item.kind != item.unit.recording})[::SKIPPED]
    for unit in dict.fromkeys(item.unit for item in items):
        item = Item(unit, RATES[0])
        if item.kind != unit.recording and (unit.movie not in embryos or unit.stride not in (1, 4)):
            continue
        whole = middle_frames(read_unit(unit), MOST_CELLS)
        if len(whole.detections) < 2 * CELLS_A_STRETCH:
            continue
        for rate in RATES:
            rates = CorruptionRates(rate, rate / 5, rate / 5, rate / 5)
            movie = with_errors(whole, points=is_points_folder(unit.folder), rates=rates)
            targets, prior, before = movie.targets(MAX_GAP), priors.without(item.kind), None
            for size in (None, *SIZES):
                graph = scored(movie, size)
                judged = judge(prior.layer(UncertaintyLayer("auto"), graph)(graph), targets)
                before = before or judged
                how = "one scale" if size is None else f"a scale every {size} cells"
                spread = displacements_by_frame(movie.detections, MAX_GAP, size or 10**9)[:, 0]
                row = {"how": how, "widest": float(np.ptp(np.log(spread))), "n_links": graph.n_links}
                rows.append({**Item(unit, rate).columns, **row, **figures(judged, before)})
            print(unit.key, rate, flush=True)
    return pd.DataFrame(rows)
