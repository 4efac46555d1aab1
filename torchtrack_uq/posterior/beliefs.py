"""Sums over assignments by belief propagation."""

import torch
from torch import Tensor

from torchtrack_uq.functional import belief_propagation, segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.infeasible import refuse_infeasible
from torchtrack_uq.posterior.problems import MovieProblems
from torchtrack_uq.posterior.summed import Summed


def sum_beliefs(graph: CandidateGraph, choices: Choices) -> Summed:
    """Belief propagation over all frame pairs at once, on the scores' device; log Z is Bethe's estimate.

    Raises:
        InputError: Forbidden events leave some frame pair without any assignment.
    """
    score, appear, disappear, divide = choices.split(choices.score)
    must = (torch.isneginf(appear) & graph.is_daughter) | (torch.isneginf(disappear) & graph.is_mother)
    if bool(must.any()):
        refuse_infeasible(MovieProblems.of(graph), choices.score)
    movie = graph.movie[graph.daughter] if graph.n_movies > 1 else None
    found = belief_propagation(
        score,
        graph.mother,
        graph.daughter,
        appear,
        disappear,
        divide,
        movie=movie,
        n_movies=graph.n_movies,
    )
    choice = torch.cat([found.link, found.null, found.disappear, found.divide])
    at = choices.pair[graph.n_links :]
    n, pairs = graph.n_cells, choices.n_pairs
    d, m = choices.is_daughter, choices.is_mother

    def by_pair(values: Tensor, at: Tensor, possible: Tensor) -> Tensor:
        """Sums without looking at a mask's numbers, which the CPU would have to wait for."""
        inside = at.clamp(0, max(pairs - 1, 0))
        return segment_sum(values.masked_fill(~possible, 0.0), inside, max(pairs, 1))[:pairs]

    log_z = by_pair(found.as_daughter, at[:n], d) + by_pair(found.as_mother, at[n : 2 * n], m)
    nothing = torch.zeros_like(log_z)
    unknown = torch.full_like(log_z, torch.inf)
    cell_error = torch.full_like(found.null, torch.inf).masked_fill(~d, 0.0)
    return Summed(choice, log_z, nothing, unknown, nothing > 0, unknown, cell_error)
