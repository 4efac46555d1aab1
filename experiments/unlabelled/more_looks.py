"""Whether the evidence, or how crowded a movie is, says more than its first look, weighed as other movies teach."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from experiments.prior.fit import LOOK_AT, NAMES, START
from experiments.prior.judge import WIDTHS
from experiments.prior.pool import Likelihood, pool
from experiments.prior.units import Item, score_item
from experiments.unlabelled.drift import mean_at
from experiments.unlabelled.evidence import COME_AND_GO, MISSED, Counts, Density, maximised
from experiments.unlabelled.left_out import Priors, figures
from torchtrack_uq.calibration import GaussianPrior
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.neighbours import spacing
from torchtrack_uq.truth.judged import judge

Floats = NDArray[np.float64]
STRIDES = (1, 4)
N_ROUNDS = 4
BESIDE = {"evidence": slice(0, 3), "crowding": slice(3, 4), "evidence and crowding": slice(0, 4)}


@torch.no_grad()
def more_looks(graph: CandidateGraph) -> Floats:
    """(4,) by what the evidence makes of coming and going, of misses and of ends, and how far apart cells are.

    The evidence starts from the same numbers for all movies, under a wide prior, and leaves temperature and division as
    they are.
    """
    temperature, offsets = LOOK_AT["Distance"]
    values = {LOG_TEMPERATURE: math.log(temperature), **offsets, "miss": 0.0}
    prior = GaussianPrior(NAMES, np.array([values[name] for name in NAMES]), np.diag(np.full(5, 9.0)))
    density = Density.of(graph)
    for _ in range(N_ROUNDS):
        counts = Counts.of(mean_at(values)(graph), graph)
        values = maximised(values, counts, density, prior, (COME_AND_GO, MISSED), None)
    cells = Detections.from_points(graph.frame.numpy(), graph.coords.numpy(), n_frames=graph.n_frames)
    apart = math.log(max(spacing(cells), 0.5) / density.scales[0])
    return np.array([values["appear"] + values["disappear"], values["miss"], values["disappear"], apart])


def more_look_rows(cache: Path) -> pd.DataFrame:
    """The distance tracker's movies at strides 1 and 4, for the priors too."""
    found = [pair for pair in Priors("Distance", cache).fitted if pair[0].unit.stride in STRIDES]
    movies = [score_item(item, cache) for item, _ in found]
    extra = np.array([more_looks(movie.graph) for movie in movies])
    extra = (extra - extra.mean(0)) / extra.std(0)
    rows = []
    for kind in sorted({item.kind for item, _ in found}):
        here = np.array([item.kind == kind for item, _ in found])
        means = {"first look": _means(found, extra[:, :0], here)}
        means |= {name: _means(found, extra[:, its], here) for name, its in BESIDE.items()}
        for n, k in enumerate(np.flatnonzero(here)):
            before = None
            for name, its in means.items():
                with torch.no_grad():
                    values = dict(zip(NAMES, its[n].tolist(), strict=True))
                    judged = judge(mean_at(values)(movies[k].graph), movies[k].targets)
                before = before or judged
                rows.append({**found[k][0].columns, "how": name, **figures(judged, before)})
    return pd.DataFrame(rows)


def _means(found: list[tuple[Item, Likelihood]], extra: Floats, here: NDArray[np.bool_]) -> Floats:
    """(movies of this kind, K) means of a prior learned from the others, with these looks beside the first."""
    pairs = zip(found, extra, strict=True)
    items = [replace(item, look=np.append(item.look, more)) for (_, item), more in pairs]
    others = [item for item, mine in zip(items, here, strict=True) if not mine]
    coefficients, _ = pool(others, np.array(START), WIDTHS)
    looks = np.array([item.look for item in others])
    mine = [item.look.clip(looks.min(0), looks.max(0)) for item, its in zip(items, here, strict=True) if its]
    return np.array([[1.0, *look] for look in mine]) @ coefficients
