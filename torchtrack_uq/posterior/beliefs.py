"""Sums over assignments: what every way to sum returns, and belief propagation as one of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.functional import belief_propagation, segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices


class Summed(NamedTuple):
    """Probabilities (C,) of all choices, log Z and certificate (P,) of each frame pair, and (N,) of each daughter."""

    choice: Tensor
    log_z: Tensor
    covered_mass: Tensor
    error_bound: Tensor
    exact: Tensor
    log_z_error: Tensor
    cell_error: Tensor


def sum_beliefs(graph: CandidateGraph, choices: Choices) -> Summed:
    """Belief propagation over all frame pairs at once, on the scores' device; log Z is Bethe's estimate."""
    score, appear, disappear, divide = choices.split(choices.score)
    found = belief_propagation(score, graph.mother, graph.daughter, appear, disappear, divide)
    choice = torch.cat([found.link, found.null, found.disappear, found.divide])
    at = choices.pair[graph.n_links :]
    n, pairs = graph.n_cells, choices.n_pairs
    d, m = choices.is_daughter, choices.is_mother
    log_z = segment_sum(found.as_daughter[d], at[:n][d], pairs) + segment_sum(
        found.as_mother[m], at[n : 2 * n][m], pairs
    )
    nothing = torch.zeros_like(log_z)
    unknown = torch.full_like(log_z, torch.inf)
    cell_error = torch.full_like(found.null, torch.inf).masked_fill(~d, 0.0)
    return Summed(choice, log_z, nothing, unknown, nothing > 0, unknown, cell_error)
