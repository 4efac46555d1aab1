"""Likelihoods from a list of assignments: log Z is that of the list, which may be far too small."""

import warnings

import torch
from torch import Tensor

ENOUGH = 0.99
"""Covered mass from which on a list stands for all assignments: log Z is right to 0.01 then."""


class LikelihoodBoundWarning(UserWarning):
    """A likelihood is only an upper bound: log Z is that of listed assignments, which may be few of all that matter."""


@torch.no_grad()
def warn_of_bound(covered_mass: Tensor, asked: Tensor) -> None:
    """Say, once and in one sentence, that log Z is a lower bound that may be far off.

    Args:
        covered_mass: (P,) proved lower bound on the share of the posterior that is listed.
        asked: (P,) bool, problems whose likelihood is asked for.

    Warns:
        LikelihoodBoundWarning: Some of these in which the list is not proved to cover 99 % of the posterior.
    """
    covered = covered_mass[asked]
    short = int((covered < ENOUGH).sum())
    if short:
        warnings.warn(
            "method AS bounds log Z from below, so that likelihoods are too large and losses too small: in "
            f"{short} of {len(covered)} frame pairs (or movies) its list is not proved to cover {ENOUGH:.0%} of the "
            f"posterior mass (the least: {float(covered.min()):.2g}); use method auto or exact",
            LikelihoodBoundWarning,
            stacklevel=3,
        )
