"""Draws of whole histories from the posterior of a movie."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import sample
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.problems import MovieProblems, solve_pair, to_host


def sample_mothers(graph: CandidateGraph, n: int, *, seed: int = 0) -> Tensor:
    """Draw histories of a movie, who was whose mother, independently from p(A) = exp(L(A)) / Z.

    Whatever is asked of whole tracks or lineages is the share of draws in which it is so. Frame pairs are independent
    where no link skips a frame. Right to 0.001 in the probability of any event of one component, see
    `torchtrack_uq.assignment.sample`.

    Args:
        graph: Candidate links, scores divided by the temperature.
        n: Number of draws, at least 1.
        seed: The same seed gives the same draws.

    Returns:
        (n, N) int64, index of each cell's mother, -1 for none, on the device of the graph.

    Raises:
        InputError: No draw asked for, or a problem that is too ambiguous to be summed over or infeasible.

    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 2]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], [9.0], max_gap=2)
    >>> sample_mothers(graph, 3).tolist()
    [[-1, 0], [-1, 0], [-1, 0]]
    """
    if n < 1:
        raise InputError(f"n must be at least 1 draw, got {n}")
    problems, scores = MovieProblems.of(graph), to_host(Choices.of(graph).score)
    drawn = np.full((n, graph.n_cells), NO_MOTHER, np.int64)
    seeds = np.random.SeedSequence(seed).generate_state(max(problems.n_pairs, 1)).tolist()
    for p, at in enumerate(problems.ranges):
        if at.daughters.start == at.daughters.stop:
            continue
        build = partial(problems.build, p, scores)
        parent = solve_pair(partial(sample, n=n, seed=seeds[p]), build, problems.where(p))
        drawn[:, at.daughters] = np.where(parent < 0, NO_MOTHER, parent + at.mothers.start)
    return torch.from_numpy(drawn).to(graph.device)
