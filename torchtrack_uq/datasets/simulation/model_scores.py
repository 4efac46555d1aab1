"""Scores of simulated links that make the posterior right by construction: drawn from the model that it assumes."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.true_frames import check_seed
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.trackers.neighbours import neighbour_links

Floats = NDArray[np.float64]
_REACH = 6.0
_LEAST = 1e-300


def model_scores(
    movie: AnnotatedMovie, conditions: Conditions, *, evidence: float = 0.0, seed: int = 0
) -> CandidateGraph:
    """Candidate links whose scores are the log-densities that the movie was simulated with.

    With q = 1 - divide - disappear, f the density of a step and p_i the probability that a step of cell i leaves the
    field, a frame's cells given those before are a superposition of independent point processes. The density of one is
    (with one daughter seen) (q + 2 divide p_i) f, (with two) 2 divide f f, (with none) disappear + q p_i + divide p_i²,
    and of a newcomer the rate of newcomers. So the posterior over assignments is exactly that of the model, with
    scores of links log f (q + 2 divide p_i) and the events' of what is left.

    `evidence` e adds to every score what an independent look at the pair would: a normal number of variance e² and mean
    e²/2 for true links, -e²/2 for wrong ones, which is its own log-likelihood ratio.

    Args:
        movie: As `simulate` made it, without errors.
        conditions: That it was simulated under: normal steps without persistence and flow, daughters that start at
            their mother's place (`separation=0`), cells that do not push, border "gone" (over an open one, who comes in
            depends on who went out) and no deaths for the sake of a steady number.
        evidence: How much a look at a pair says; 0 for distances alone.
        seed: Of the looks.

    Returns:
        Links up to six standard deviations, float64.

    Raises:
        InputError: Conditions under which the posterior would not be exact.

    >>> from torchtrack_uq.datasets.simulation import simulate
    >>> conditions = Conditions(n_frames=3, n_cells=20, separation=0, border="gone")
    >>> model_scores(simulate(conditions), conditions).n_frames
    3
    """
    _check(movie, conditions, evidence)
    cells, sigma = movie.detections, conditions.motion
    place = cells.coords * conditions.aspect
    drift = np.asarray(conditions.drift) if len(conditions.drift) else np.zeros(conditions.ndim)
    radius = _REACH * sigma + float(np.linalg.norm(drift))
    mother, daughter, _ = neighbour_links(cells, radius)
    step = place[daughter] - place[mother] - drift
    log_f = -(step**2).sum(axis=1) / (2 * sigma**2) - conditions.ndim * np.log(sigma * np.sqrt(2 * np.pi))
    arrives = place + drift
    stays_in = (ndtr((conditions.field - arrives) / sigma) - ndtr(-arrives / sigma)).prod(axis=1)
    leaves = 1 - stays_in
    q = 1 - conditions.divide - conditions.disappear
    one = np.maximum(q + 2 * conditions.divide * leaves, _LEAST)
    none = conditions.disappear + q * leaves + conditions.divide * leaves**2
    score = log_f + np.log(one)[mother]
    if evidence:
        rng = np.random.default_rng([check_seed(seed), 4])
        is_true = movie.mother[daughter] == mother
        score += evidence**2 * np.where(is_true, 0.5, -0.5) + evidence * rng.normal(size=len(score))
    rate = max(conditions.appear / float(np.prod(conditions.field)), _LEAST)
    with np.errstate(divide="ignore"):
        divide = np.log(2 * conditions.divide) - 2 * np.log(one)
    return CandidateGraph.from_links(
        cells,
        mother,
        daughter,
        score,
        appear=np.log(rate),
        disappear=np.log(np.maximum(none, _LEAST)),
        divide=divide,
    )


def _check(movie: AnnotatedMovie, conditions: Conditions, evidence: float) -> None:
    wrong = [
        name
        for name, is_wrong in (
            ("persistence", conditions.persistence > 0),
            ("flow", conditions.flow > 0),
            ("steps", conditions.steps is not None),
            ("separation", conditions.separation > 0 and conditions.divide > 0),
            ("apart", conditions.apart > 0),
            ("border", conditions.border != "gone"),
            ("jitter", conditions.jitter > 0),
            ("motion", conditions.motion == 0),
            ("errors", movie.track is not None),
        )
        if is_wrong
    ]
    if wrong:
        raise InputError(
            f"scores cannot be exact for this movie because of its {', '.join(wrong)}; expected normal steps alone, "
            "separation=0, border='gone' and no errors of detection"
        )
    if not (np.isfinite(evidence) and evidence >= 0):
        raise InputError(f"evidence is {evidence}; expected a finite number of at least 0")
