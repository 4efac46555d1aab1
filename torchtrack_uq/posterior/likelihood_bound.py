"""Likelihoods from a list of assignments: log Z is that of the list, which may be far too small."""

import warnings

import torch
from torch import Tensor

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.leftover import Leftover
from torchtrack_uq.posterior.support import Support, weigh_listed

ENOUGH = 0.99
"""Covered mass from which on a list stands for all assignments: log Z is right to 0.01 then."""


class LikelihoodBoundWarning(UserWarning):
    """A likelihood is only an upper bound: log Z is that of listed assignments, which may be few of all that matter."""


@torch.no_grad()
def warn_of_bound(graph: CandidateGraph, choices: Choices, support: Support, asked: Tensor) -> None:
    """Say, once and in one sentence, that log Z is a lower bound that may be far off.

    Args:
        graph: Candidate links.
        choices: Its choices.
        support: The listed assignments.
        asked: (P,) bool, frame pairs whose likelihood is asked for.

    Warns:
        LikelihoodBoundWarning: Some of these in which the list is not proved to cover 99 % of the posterior.
    """
    covered = Leftover.of(graph, choices, support, weigh_listed(choices, support)).covered_mass[asked]
    short = int((covered < ENOUGH).sum())
    if short:
        warnings.warn(
            "method AS bounds log Z from below, so that likelihoods are too large and losses too small: in "
            f"{short} of {len(covered)} frame pairs its list is not proved to cover {ENOUGH:.0%} of the posterior "
            f"mass (the least: {float(covered.min()):.2g}); use method auto or exact",
            LikelihoodBoundWarning,
            stacklevel=3,
        )
