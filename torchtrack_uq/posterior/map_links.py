"""The MAP assignment of every frame pair."""

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.assignment import AssignmentProblem, solve_map
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.problems import MovieProblems, to_host


def mothers_of(graph: CandidateGraph, selected: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) int64, index of the mother that each cell is linked to, -1 for none.

    Args:
        graph: Candidate links.
        selected: (E,) bool, at most one link a daughter.
    """
    chosen = torch.from_numpy(selected)
    mother = np.full(graph.n_cells, NO_MOTHER, np.int64)
    mother[graph.daughter.cpu()[chosen].numpy()] = graph.mother.cpu()[chosen].numpy()
    return mother


def map_links(graph: CandidateGraph) -> NDArray[np.bool_]:
    """Which candidate links belong to the likeliest feasible assignment of their frame pair, or movie (paper eq. 1).

    Feasible means at most one mother a daughter and at most two daughters a mother; the score of an
    assignment counts appearances, disappearances and divisions. The temperature does not change it.

    Args:
        graph: Candidate links on any device.

    Returns:
        (E,) bool, a numpy array, as solvers are on the CPU.

    Raises:
        InputError: Some frame pair has no feasible assignment.
    """
    problems = MovieProblems.of(graph)
    selected = np.zeros(graph.n_links, np.bool_)
    found = problems.solve(_chosen, to_host(Choices.of(graph).score))
    for at, links in zip(problems.ranges, found, strict=True):
        selected[at.links] = links
    return selected


def _chosen(problem: AssignmentProblem) -> NDArray[np.bool_]:
    """(E,) bool, links of the MAP assignment."""
    chosen: NDArray[np.bool_] = solve_map(problem).parent[problem.daughter] == problem.mother
    return chosen
