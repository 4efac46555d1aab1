"""Sums over the K best assignments of every frame pair (paper eq. 3 and 4)."""

import torch

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.leftover import Leftover, give_leftover
from torchtrack_uq.posterior.summed import Summed
from torchtrack_uq.posterior.support import Support, weigh_listed


def sum_listed(
    graph: CandidateGraph, choices: Choices, support: Support, *, leftover: bool, tolerance: float
) -> Summed:
    """Marginals of the listed assignments, differentiable by plain autograd.

    Args:
        graph: Candidate links.
        choices: Its choices.
        support: The K best assignments of every frame pair.
        leftover: Whether options outside the list get a share of what is left, see `give_leftover`.
        tolerance: Largest error that counts as exact.
    """
    listed = weigh_listed(choices, support)
    left = Leftover.of(graph, choices, support, listed)
    choice = give_leftover(graph, choices, listed.choice, left.share) if leftover else listed.choice
    share = left.share.detach() if leftover else torch.zeros_like(left.covered_mass)
    error = (1 - left.covered_mass + share).clamp(max=1.0)
    at = choices.pair[graph.n_links : graph.n_links + graph.n_cells].clamp(0, max(choices.n_pairs - 1, 0))
    of_cell = error[at] if choices.n_pairs else torch.zeros_like(at, dtype=error.dtype)
    cell_error = of_cell.masked_fill(~choices.is_daughter, 0.0)
    missing = -torch.log(left.covered_mass.clamp(min=0.0))
    return Summed(choice, listed.log_total, left.covered_mass, error, error <= tolerance, missing, cell_error)
