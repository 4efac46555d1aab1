"""Movies whose truth is drawn from the model itself: groups of cells far apart, each with its own assignment."""

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections
from torchtrack_uq.assignment import AssignmentProblem, k_best
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.targets import LinkTargets

EVENTS = {"appear": -1.0, "disappear": -1.5, "divide": -0.5}


def simulated_movie(
    n_groups: int, seed: int, scale: float = 1.0, events: dict[str, float] = EVENTS
) -> ScoredMovie:
    """Frame pairs of 2 mothers and 3 daughters; the truth is drawn from p(A) = exp(L(A)) / Z.

    Args:
        n_groups: How many, all in one pair of frames.
        seed: Of scores and truth.
        scale: The scores handed out are `scale` times those that the truth was drawn with.
        events: Event scores that the truth is drawn with.
    """
    rng = np.random.default_rng(seed)
    n_mothers, n_daughters = 2, 3
    first_daughter = n_groups * n_mothers
    cells = Detections.from_points(
        np.repeat([0, 1], [first_daughter, n_groups * n_daughters]), np.zeros((n_groups * 5, 2)), n_frames=2
    )
    mother, daughter = np.divmod(np.arange(n_mothers * n_daughters), n_daughters)
    truth = np.full(len(cells), -1)
    mothers, daughters, scores = [], [], []
    for group in range(n_groups):
        score = rng.normal(0, 2, len(mother))
        problem = AssignmentProblem.build(mother, daughter, score, n_mothers, n_daughters, **events)
        listed = k_best(problem, 100_000)
        assert listed.is_complete
        weight = np.exp(listed.log_weight - listed.log_weight.max())
        drawn = listed.parent[rng.choice(len(weight), p=weight / weight.sum())]
        at = first_daughter + group * n_daughters
        truth[at : at + n_daughters] = np.where(drawn >= 0, drawn + group * n_mothers, -1)
        mothers.append(mother + group * n_mothers)
        daughters.append(daughter + at)
        scores.append(score)
    graph = CandidateGraph.from_links(
        cells,
        np.concatenate(mothers),
        np.concatenate(daughters),
        torch.tensor(scale * np.concatenate(scores)),
        **{name: scale * value for name, value in EVENTS.items()},
    )
    return ScoredMovie(f"simulated {seed}", graph, LinkTargets.from_mothers(torch.tensor(truth), graph.frame))
