"""Random movies with ragged candidates, and the same probabilities as a padded table for outside references."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq import CandidateGraph, Detections, ParentalSoftmax
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.judged import JudgedDaughters, judge
from torchtrack_uq.truth.targets import LinkTargets


class Ragged(NamedTuple):
    probabilities: LinkProbabilities
    targets: LinkTargets
    judged: JudgedDaughters
    table: np.ndarray  # (D, N + 1), a column for each cell as a mother and the last one for null
    truth: np.ndarray  # (D,), column of the truth


def ragged_movie(seed: int, per_frame: int = 40, n_frames: int = 4, sharpness: float = 2.0) -> Ragged:
    """Every daughter has 0 to 5 candidates; 5 % of the true mothers are no candidates; 10 % have none."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(n_frames), per_frame)
    n = len(frame)
    links, mothers = [], np.full(n, -1)
    for j in range(per_frame, n):
        before = np.flatnonzero(frame == frame[j] - 1)
        candidates = rng.choice(before, rng.integers(0, 6), replace=False)
        links += [(i, j) for i in candidates]
        if rng.random() < 0.05:
            mothers[j] = rng.choice(np.setdiff1d(before, candidates))
        elif rng.random() > 0.1 and len(candidates):
            mothers[j] = rng.choice(candidates)
    mother, daughter = np.array(links).T
    score = sharpness * rng.normal(size=len(mother)) + 2.0 * (mothers[daughter] == mother)
    cells = Detections.from_points(frame, np.zeros((n, 2)))
    graph = CandidateGraph.from_links(cells, mother, daughter, torch.from_numpy(score))
    with torch.no_grad():
        probabilities = ParentalSoftmax()(graph)
    targets = LinkTargets.from_mothers(torch.from_numpy(mothers), graph.frame)
    table = np.zeros((n, n + 1))
    table[graph.daughter.numpy(), graph.mother.numpy()] = probabilities.link.double().numpy()
    table[:, -1] = probabilities.null.double().numpy()
    judged = judge(probabilities, targets)
    return Ragged(
        probabilities, targets, judged, table[per_frame:], np.where(mothers < 0, n, mothers)[per_frame:]
    )


def daughters(
    confidence: Tensor, correct: Tensor, frame: Tensor | None = None, has_mother: Tensor | None = None
) -> JudgedDaughters:
    """Daughters with two classes each, of which the likelier has the given probability."""
    p = confidence.double()
    both = torch.stack([p, 1 - p], 1)
    true_p = torch.where(correct, p, 1 - p)
    yes = torch.ones_like(correct)
    return JudgedDaughters(
        cell=torch.arange(len(p)),
        frame=torch.ones(len(p), dtype=torch.int64) if frame is None else frame,
        has_mother=yes if has_mother is None else has_mother,
        reachable=yes,
        true_log_p=true_p.log(),
        confidence=p,
        correct=correct,
        entropy=-torch.special.xlogy(both, both).sum(1),
        brier=2 * (1 - true_p) ** 2,
        after_gap=~yes,
    )
