"""Movies whose truth is drawn from the model itself: groups of cells far apart, each with its own assignment."""

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections
from torchtrack_uq.assignment import AssignmentProblem, k_best
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.truth.targets import LinkTargets

EVENTS = {"appear": -1.0, "disappear": -1.5, "divide": -0.5}


def simulated_movie(
    n_groups: int,
    seed: int,
    scale: float = 1.0,
    events: dict[str, float] = EVENTS,
    n_pairs: int = 1,
) -> ScoredMovie:
    """Groups of 2 mothers and 3 daughters; the truth is drawn from p(A) = exp(L(A)) / Z.

    Args:
        n_groups: How many in one pair of frames.
        seed: Of scores and truth.
        scale: The scores handed out are `scale` times those that the truth was drawn with.
        events: Event scores that the truth is drawn with.
        n_pairs: Frame pairs 0-1, 2-3, ...; nothing is known between them.
    """
    rng = np.random.default_rng(seed)
    n_mothers, n_daughters = 2, 3
    in_pair = n_groups * (n_mothers + n_daughters)
    frame = np.repeat(
        np.arange(2 * n_pairs), np.tile([n_groups * n_mothers, n_groups * n_daughters], n_pairs)
    )
    cells = Detections.from_points(frame, np.zeros((len(frame), 2)))
    mother, daughter = np.divmod(np.arange(n_mothers * n_daughters), n_daughters)
    truth = np.full(len(cells), -1)
    mothers, daughters, scores = [], [], []
    for pair, group in np.ndindex(n_pairs, n_groups):
        score = rng.normal(0, 2, len(mother))
        problem = AssignmentProblem.build(mother, daughter, score, n_mothers, n_daughters, **events)
        listed = k_best(problem, 100_000)
        assert listed.is_complete
        weight = np.exp(listed.log_weight - listed.log_weight.max())
        drawn = listed.parent[rng.choice(len(weight), p=weight / weight.sum())]
        first_mother = pair * in_pair + group * n_mothers
        at = pair * in_pair + n_groups * n_mothers + group * n_daughters
        truth[at : at + n_daughters] = np.where(drawn >= 0, drawn + first_mother, -1)
        mothers.append(mother + first_mother)
        daughters.append(daughter + at)
        scores.append(score)
    graph = CandidateGraph.from_links(
        cells,
        np.concatenate(mothers),
        np.concatenate(daughters),
        torch.tensor(scale * np.concatenate(scores)),
        **{name: scale * value for name, value in EVENTS.items()},
    )
    targets = LinkTargets.from_mothers(torch.tensor(truth), graph.frame)
    return ScoredMovie(f"simulated {seed}", graph, targets.only(graph.frame % 2 == 1))
