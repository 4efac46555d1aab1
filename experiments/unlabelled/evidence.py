"""The evidence of a movie without labels: scores as densities, and rates of events by expectation maximisation.

The distance tracker's scores become the log-probability of a movie's cells and their links. A mother has 0, 1 or 2
daughters with probabilities p0, p1, p2; a link spans two frames with probability m, since its daughter was missed; a
daughter lies around her mother with a density that is the exponential of the tempered score over its integral N_g(T);
other cells appear at lambda a frame and unit of volume, anywhere in the field. That is the package's posterior with

    disappear = log(p0 / p1),  divide = log(2 p2 / p1),  miss = log N_1 - log N_2 + logit m,
    appear = log lambda + log N_1 - log(1 - m)

(each without what the tracker's own score says already), and its evidence is log Z and what these leave out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gamma

from experiments.prior.units import score_item
from experiments.unlabelled.drift import mean_at
from experiments.unlabelled.left_out import MAX_GAP, Priors, figures
from torchtrack_uq.calibration import GaussianPrior, ScoredMovie
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.distance import MISS
from torchtrack_uq.trackers.gaps import widening
from torchtrack_uq.trackers.neighbours import REACH, gaussian_with_tail, spacing, typical_displacements
from torchtrack_uq.truth.judged import judge

Floats = NDArray[np.float64]
RANGE = 5.0
NAMES = (LOG_TEMPERATURE, "appear", "disappear", "divide", "miss")
N_ROUNDS = 6
SHOWN_ROUNDS = (1, 2, N_ROUNDS)
TOLD_APART = np.array([
    [1.0, 0, 0, 0, 0],
    [0, 1, 1, 0, 0],
    [0, 0, 1, 1, 0],
    [0, 0, 0, 0, 1],
])  # fmt: skip
"""What a posterior tells apart: log T, appear + disappear, disappear + divide, miss. How the sums are shared out, the
prior cannot know; rates do."""
T, COME_AND_GO, DIVIDE, MISSED = range(4)
WAYS: dict[str, tuple[tuple[int, ...], int | None]] = {
    "all": ((T, COME_AND_GO, DIVIDE, MISSED), None),
    "all, worth 100 daughters": ((T, COME_AND_GO, DIVIDE, MISSED), 100),
    "all but T": ((COME_AND_GO, DIVIDE, MISSED), None),
    "all but T and division": ((COME_AND_GO, MISSED), None),
    "all but T and division, worth 100 daughters": ((COME_AND_GO, MISSED), 100),
    "coming and going": ((COME_AND_GO,), None),
    "coming and going, worth 100 daughters": ((COME_AND_GO,), 100),
}
"""What of `TOLD_APART` is free, and how many daughters the evidence counts as at most."""


@dataclass(frozen=True)
class Density:
    """What the normalisers need of a movie.

    Attributes:
        scales: (2,) typical displacement per axis over one and over two frames.
        reach: (2,) how far a candidate mother may be.
        n_dims: Of space.
        volume: Of the field, times the frames in which cells may appear.
        appear: The tracker's own score of appearing.
    """

    scales: Floats
    reach: Floats
    n_dims: int
    volume: float
    appear: float

    @classmethod
    def of(cls, graph: CandidateGraph) -> "Density":
        """Of a movie that the distance tracker scored with its default settings."""
        coords = graph.coords.numpy()
        cells = Detections.from_points(graph.frame.numpy(), coords, n_frames=graph.n_frames)
        scales = typical_displacements(cells, MAX_GAP)
        scales = np.pad(scales, (0, MAX_GAP - len(scales)), mode="edge")
        widest = max(REACH * RANGE * scales[0], spacing(cells))
        reach = np.maximum(widest, RANGE * scales)
        extent = np.maximum(np.ptp(coords, axis=0), 2 * scales[0])
        n_frames = max(int(graph.n_frames) - 1, 1)
        return cls(
            scales, reach, coords.shape[1], float(np.prod(extent)) * n_frames, float(graph.appear.median())
        )

    def log_normaliser(self, gap: int, log_temperature: float) -> float:
        """Log of the integral of exp(score / T) over space, by the trapezoidal rule."""
        z = np.linspace(0, self.reach[gap - 1] / self.scales[gap - 1], 2000)
        score = gaussian_with_tail(z, RANGE) + (gap - 1) * MISS
        score = score + float(widening(self.scales[gap - 1 : gap], self.scales[0], self.n_dims)[0])
        sphere = 2 * np.pi ** (self.n_dims / 2) / gamma(self.n_dims / 2)
        values = z ** (self.n_dims - 1) * np.exp(score / math.exp(log_temperature))
        volume = self.scales[gap - 1] ** self.n_dims
        return float(np.log(sphere * volume * np.trapezoid(values, z)))


@dataclass(frozen=True)
class Counts:
    """What a posterior expects of a movie, and log Z of it."""

    appear: float
    links: Floats
    score: float
    none: float
    two: float
    mothers: int
    daughters: int

    @classmethod
    def of(cls, p: LinkProbabilities, graph: CandidateGraph) -> "Counts":
        """Expected numbers of events, and the expected sum of the links' scores."""
        daughters, mothers, link = graph.is_daughter, graph.is_mother, p.link.double()
        return cls(
            float(p.null[daughters].double().sum()),
            np.array([float(link[graph.gap == gap].sum()) for gap in (1, 2)]),
            float((link * graph.score.double()).sum()),
            float(p.disappear[mothers].double().sum()),
            float(p.divide[mothers].double().sum()),
            int(mothers.sum()),
            int(daughters.sum()),
        )


def rates(values: dict[str, float], density: Density) -> dict[str, float]:
    """Logarithms of lambda, p0, p1, p2, m, 1 - m, N_1 and N_2 at these parameters."""
    n1, n2 = (density.log_normaliser(gap, values[LOG_TEMPERATURE]) for gap in (1, 2))
    logit = values["miss"] + n2 - n1
    zero, two = values["disappear"], values["divide"] - math.log(2)
    one = -float(np.logaddexp.reduce([0.0, zero, two]))
    seen = -float(np.logaddexp(0, logit))
    appear = values["appear"] + density.appear / math.exp(values[LOG_TEMPERATURE]) - n1 + seen
    return {"appear": appear, "p0": one + zero, "p1": one, "p2": one + two, "m": seen + logit, "seen": seen,
            "n1": n1, "n2": n2}  # fmt: skip


def expected(values: dict[str, float], counts: Counts, density: Density) -> float:
    """Expected log-probability of cells and links under a posterior's counts, what EM makes large."""
    r = rates(values, density)
    links = counts.links @ np.array([r["seen"] - r["n1"], r["m"] - r["n2"]])
    links += counts.score / math.exp(values[LOG_TEMPERATURE])
    appear = counts.appear * r["appear"] - density.volume * math.exp(min(r["appear"], 50.0))
    one = counts.mothers - counts.none - counts.two
    fates = counts.none * r["p0"] + one * r["p1"] + counts.two * (r["p2"] + math.log(2))
    return float(links + appear + fates)


def evidence(p: LinkProbabilities, values: dict[str, float], counts: Counts, density: Density) -> float:
    """Log Z and what it leaves out: the log-probability of the cells, whatever their links."""
    r = rates(values, density)
    assert p.log_z is not None
    left_out = counts.daughters * (r["seen"] - r["n1"]) + counts.mothers * r["p1"]
    return float(p.log_z.double().sum()) + left_out - density.volume * math.exp(r["appear"])


def maximised(
    values: dict[str, float],
    counts: Counts,
    density: Density,
    prior: GaussianPrior,
    free: tuple[int, ...],
    worth: int | None,
) -> dict[str, float]:
    """The parameters that make the expected log-probability and the prior's largest, those that are free."""
    weight = 1.0 if worth is None else min(1.0, worth / counts.daughters)
    mean = TOLD_APART @ np.array([prior.values[name] for name in NAMES])
    order = [prior.names.index(name) for name in NAMES]
    covariance = TOLD_APART @ prior.covariance[np.ix_(order, order)] @ TOLD_APART.T
    precision = np.linalg.inv(covariance)
    start = TOLD_APART @ np.array([values[name] for name in NAMES])

    def told(x: Floats) -> Floats:
        found: Floats = start.copy()
        found[list(free)] = x[:-1]
        return found

    def at(x: Floats) -> dict[str, float]:
        log_temperature, both, dividing, miss = told(x).tolist()
        none = float(x[-1])
        return dict(zip(NAMES, (log_temperature, both - none, none, dividing - none, miss), strict=True))

    def loss(x: Floats) -> float:
        away = told(x) - mean
        return -weight * expected(at(x), counts, density) + float(away @ precision @ away) / 2

    return at(minimize(loss, [*start[list(free)], values["disappear"]], method="L-BFGS-B").x)


@torch.no_grad()
def evidence_of(movie: ScoredMovie, prior: MoviePrior) -> Iterator[dict[str, object]]:
    """A row for each way and some rounds of it."""
    graph, at = movie.graph, prior.at(movie.graph)
    density, start = Density.of(graph), dict(at.values)
    first = mean_at(start)(graph)
    before = judge(first, movie.targets)
    counts = Counts.of(first, graph)
    known = evidence(first, start, counts, density) / counts.daughters
    yield {"how": "prior's mean", "round": 0, **figures(before, before), "evidence": known, **start}
    for name, (free, worth) in WAYS.items():
        values, its = start, counts
        for n in range(1, N_ROUNDS + 1):
            values = maximised(values, its, density, at, free, worth)
            p = mean_at(values)(graph)
            its = Counts.of(p, graph)
            if n in SHOWN_ROUNDS:
                known = evidence(p, values, its, density) / its.daughters
                judged = judge(p, movie.targets)
                yield {"how": name, "round": n, **figures(judged, before), "evidence": known, **values}


def evidence_rows(cache: Path) -> pd.DataFrame:
    """The distance tracker's movies at strides 1 and 4."""
    rows = []
    for item, prior in Priors("Distance", cache).items((1, 4)):
        rows += [{**item.columns, **row} for row in evidence_of(score_item(item, cache), prior)]
        print(item.key, flush=True)
    return pd.DataFrame(rows)
