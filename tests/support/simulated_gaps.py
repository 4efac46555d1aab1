"""A movie over gaps whose truth is drawn from the model itself: groups of three cells far apart, in three frames."""

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections
from torchtrack_uq.assignment import AssignmentProblem, k_best
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.truth.targets import LinkTargets

GAP_EVENTS = {"appear": -2.0, "disappear": -1.5, "divide": -1.0}
MISS = -1.0
# two cells in the first frame, one in the second, two in the third; mothers and daughters counted as the engine does
_FRAMES = np.array([0, 0, 1, 2, 2])
_MOTHER = np.array([0, 1, 0, 1, 2, 0, 1, 2])
_DAUGHTER = np.array([2, 2, 3, 3, 3, 4, 4, 4])


def movie_with_gaps(
    n_groups: int, seed: int, miss: float = MISS, events: dict[str, float] = GAP_EVENTS
) -> ScoredMovie:
    """Scored with `GAP_EVENTS` and `MISS`, its truth drawn with `events` and `miss`."""
    rng = np.random.default_rng(seed)
    n = len(_FRAMES)
    cell = (np.arange(n_groups)[:, None] * n + np.arange(n)).ravel()
    order = np.argsort(np.tile(_FRAMES, n_groups), kind="stable")
    place = np.empty(len(cell), dtype=np.int64)
    place[order] = np.arange(len(cell))
    cells = Detections.from_points(np.tile(_FRAMES, n_groups)[order], np.zeros((len(cell), 2)))
    skipped = _FRAMES[_DAUGHTER] - _FRAMES[_MOTHER] - 1
    truth = np.full(len(cell), -1)
    mothers, daughters, scores = [], [], []
    for group in range(n_groups):
        score = rng.normal(0, 1, len(_MOTHER))
        problem = AssignmentProblem.build(_MOTHER, _DAUGHTER - 2, score + skipped * miss, 3, 3, **events)
        listed = k_best(problem, 100_000)
        assert listed.is_complete
        weight = np.exp(listed.log_weight - listed.log_weight.max())
        drawn = listed.parent[rng.choice(len(weight), p=weight / weight.sum())]
        own = place[group * n : (group + 1) * n]
        truth[own[2:]] = np.where(drawn >= 0, own[drawn], -1)
        mothers.append(own[_MOTHER])
        daughters.append(own[_DAUGHTER])
        scores.append(score + skipped * MISS)
    links = (np.concatenate(part) for part in (mothers, daughters))
    score = torch.tensor(np.concatenate(scores))
    graph = CandidateGraph.from_links(cells, *links, score, **GAP_EVENTS, max_gap=2)
    targets = LinkTargets.from_mothers(torch.tensor(truth), graph.frame, max_gap=2)
    return ScoredMovie(f"simulated with gaps {seed}", graph, targets)
