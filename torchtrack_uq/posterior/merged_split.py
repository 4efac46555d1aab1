"""Probabilities that a detection is two cells that ran together, or one of the parts of a cell that was cut."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.posterior.size_coefficients import MERGED, SPLIT, Coefficients
from torchtrack_uq.posterior.size_evidence import (
    NEAREST,
    PAIR,
    Bodies,
    Ends,
    Floats,
    Ints,
    as_part,
    as_two,
    nearest_in,
)

_APART = 2.0  # mean radii: cells farther apart say no more
_LOOSE = PAIR.index("loose")
SIDES = {"both": (True, True), "before": (True, False), "after": (False, True)}
"""Which of the frames beside a cell's there are."""


class Evidence(NamedTuple):
    """What speaks for N detections being merged, or split, each under up to K readings.

    Attributes:
        apart: (N, K, 1) how far a part is from its partner, in sums of radii; None for merged detections.
        before: (N, K, P, F) features of `PAIR` in the frame before, for each of P hypotheses.
        after: (N, K, P, F) in the frame after.
    """

    apart: Floats | None
    before: Floats
    after: Floats


def merged_and_split(detections: Detections, probabilities: LinkProbabilities) -> tuple[Tensor, Tensor]:
    """Probability that each detection is two cells, and that it is a part of one.

    Where two cells run together, one detection stands between two of the frame before, is as large as both, and one of
    the two ends there; in the frame after they are two again. Where a cell is cut, two neighbours are together as large
    as one detection of the frame before and stand around its centre, and one of the two comes from nothing. A division
    looks the same from one side only. A logistic model weighs that: for each frame beside the cell's, the pair of cells
    that speaks most for it. Its coefficients are fixed, fitted on masks with errors made on purpose
    (`experiments.merged_split`, which also says how it does on movies left out).

    Both are scores from sizes, places and the posterior, not sums over assignments: the model of the movie has no
    merged cells. They expect errors as often as the movies had them that they were fitted on, about 2 % of the cells.

    Args:
        detections: N cells with their sizes (`equivalent_diameter_area`).
        probabilities: Of their links, by any method; `max_gap` may be 1 or more.

    Returns:
        (N,) float64 and (N,) float64 on the CPU. NaN where nothing can be said: for points, which have no size, and for
        cells without a detection in the frame before and in the one after. Where there is only one of these frames, a
        model of that side alone is used: it is less sure, since it cannot tell parts of a cell from its daughters.

    Raises:
        InputError: The probabilities are of other cells.

    >>> from torchtrack_uq import AssignmentPosterior, DistanceTracker
    >>> frame, x = np.array([0, 0, 1, 2, 2]), np.array([0.0, 8.0, 4.0, 0.0, 8.0])
    >>> size = {"equivalent_diameter_area": np.float32([[8], [8], [11.3], [8], [8]])}
    >>> cells = Detections(frame, np.arange(1, 6), np.stack([x, x * 0], 1).astype(np.float32), 3, size)
    >>> graph = DistanceTracker(scale=3.0, disappear=-3.0, divide=-3.0).candidates(cells)
    >>> merged, split = merged_and_split(cells, AssignmentPosterior("exact")(graph))
    >>> bool(merged[2] > 0.5), bool(split[2] < 0.1)
    (True, True)
    """
    graph = probabilities.graph
    if not (
        len(detections) == graph.n_cells
        and np.array_equal(detections.label, graph.label.cpu().numpy())
        and np.array_equal(detections.frame, graph.frame.cpu().numpy())
    ):
        raise InputError(
            f"the probabilities are of {graph}, the detections are {detections}; expected the same cells"
        )
    merged = np.full(len(detections), np.nan)
    split = merged.copy()
    if "equivalent_diameter_area" in detections.features and len(detections):
        there = sides_of(detections, probabilities)
        ends, bodies = Ends.of(probabilities), Bodies.of(detections)
        for found, evidence, coefficients in (
            (merged, merged_evidence(detections, bodies, ends), MERGED),
            (split, split_evidence(detections, bodies, ends), SPLIT),
        ):
            for side, (before, after) in SIDES.items():
                cells = np.flatnonzero((there[0] == before) & (there[1] == after))
                if len(cells):
                    found[cells] = probability_of(evidence, cells, coefficients[side], before, after)
    return torch.from_numpy(merged), torch.from_numpy(split)


def sides_of(
    detections: Detections, probabilities: LinkProbabilities
) -> tuple["np.ndarray[tuple[int], np.dtype[np.bool_]]", "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """Whether there are detections in the frame before each cell's, and in the one after."""
    filled = np.zeros(detections.n_frames + 2, dtype=np.bool_)
    filled[detections.frame + 1] = True
    graph = probabilities.graph
    return (
        filled[detections.frame] & graph.is_daughter.cpu().numpy(),
        filled[detections.frame + 2] & graph.is_mother.cpu().numpy(),
    )


def merged_evidence(detections: Detections, bodies: Bodies, ends: Ends) -> Evidence:
    """What speaks for each detection being two cells of a frame beside its own."""
    before, after = (as_two(detections, bodies, ends, step)[:, None] for step in (-1, 1))
    return Evidence(None, before, after)


def split_evidence(detections: Detections, bodies: Bodies, ends: Ends) -> Evidence:
    """What speaks for each detection and each of its neighbours being parts of one cell of a frame beside theirs."""
    partner = _partners(detections, bodies)
    before, after = (as_part(detections, bodies, ends, partner, step) for step in (-1, 1))
    distance = np.linalg.norm(bodies.place[:, None] - bodies.place[partner], axis=-1)
    apart = distance / (bodies.radius[:, None] + bodies.radius[partner])
    return Evidence(np.where(partner >= 0, np.minimum(apart, _APART), _APART)[..., None], before, after)


def _partners(detections: Detections, bodies: Bodies) -> Ints:
    """(N, NEAREST) the nearest other cells of each cell's frame, -1 where there are fewer."""
    near = nearest_in(detections, bodies.place, detections.frame, NEAREST + 1)
    itself = near == np.arange(len(detections))[:, None]
    itself[:, -1] |= ~itself.any(axis=1)  # of many cells in one place, it may not be among the nearest
    others: Ints = near[~itself].reshape(len(detections), NEAREST)
    return others


def probability_of(
    evidence: Evidence, cells: Ints, weights: Coefficients, before: bool, after: bool
) -> Floats:
    """Logistic of the reading of each cell that speaks most for it."""
    total = np.full((len(cells), evidence.before.shape[1]), weights.intercept)
    if evidence.apart is not None:
        total += evidence.apart[cells][..., 0] * weights.apart
    loose = np.ones(total.shape)
    for features, its, used in (
        (evidence.before, weights.before, before),
        (evidence.after, weights.after, after),
    ):
        if used:
            sums = features[cells] @ np.array(its)
            best = sums.argmax(axis=-1)[..., None]
            total += np.take_along_axis(sums, best, -1)[..., 0]
            loose *= np.take_along_axis(features[cells][..., _LOOSE], best, -1)[..., 0]
    reading = total.argmax(axis=-1)[:, None]
    logit = np.take_along_axis(total, reading, -1)[:, 0]
    if before and after:
        logit += weights.loose_twice * np.take_along_axis(loose, reading, -1)[:, 0]
    p: Floats = 1 / (1 + np.exp(-logit))
    return p
