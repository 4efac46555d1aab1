"""The daughter-wise negative log-likelihood of Trackastra's quiet softmax, for a padded batch of windows."""

import torch
from torch import Tensor

from torchtrack_uq.trackers.trackastra.places import distances


def candidate_mask(coords: Tensor, timepoints: Tensor, spatial_cutoff: float, gap: int = 1) -> Tensor:
    """Which cells i are candidate mothers of j: `gap` frames before, and no farther than the cutoff.

    Args:
        coords: (B, N, 1 + D) float, time first.
        timepoints: (B, N) integer, -1 for padding.
        spatial_cutoff: Largest distance in pixels, the model's `spatial_pos_cutoff`.
        gap: Frames from mother to daughter.

    Returns:
        (B, N, N) bool, [b, i, j].
    """
    follows = timepoints.unsqueeze(1) == timepoints.unsqueeze(2) + gap
    present = timepoints.unsqueeze(2) >= 0
    near = distances(coords[..., 1:], coords[..., 1:]) <= spatial_cutoff
    return follows & present & near


def link_nll(logits: Tensor, candidates: Tensor, mother: Tensor, weight: Tensor) -> Tensor:
    r"""Weighted mean over daughters of -log P(true mother | daughter).

    The quiet softmax of Trackastra is a softmax over the candidate mothers of daughter j and a null class of
    logit 0 (docs/model.md):

        P(i | j) = exp(A_ij) / (1 + sum_k exp(A_kj)),    P(null | j) = 1 / (1 + sum_k exp(A_kj)).

    Daughters whose true mother is no candidate (farther than the cutoff) are left out: the model cannot
    express that link.

    Args:
        logits: (B, N, N) float, A[b, i, j] of mother i and daughter j.
        candidates: (B, N, N) bool.
        mother: (B, N) int64, index i of the true mother, -1 for null.
        weight: (B, N) float, at least 0; 0 for cells without a target.

    Returns:
        Scalar; 0 if no daughter has a weight.

    >>> logits = torch.zeros(1, 3, 3)
    >>> candidates = torch.zeros(1, 3, 3, dtype=torch.bool)
    >>> candidates[0, :2, 2] = True  # two candidate mothers, both of logit 0, and null
    >>> link_nll(logits, candidates, torch.tensor([[-1, -1, 0]]), torch.tensor([[0.0, 0.0, 1.0]])).exp()
    tensor(3.)
    """
    scores = logits.masked_fill(~candidates, -torch.inf)
    null = torch.zeros_like(scores[:, :1])
    log_normaliser = torch.logsumexp(torch.cat([null, scores], dim=1), dim=1)
    index = mother.clamp(min=0).unsqueeze(1)
    reachable = candidates.gather(1, index).squeeze(1) | (mother < 0)
    score_of_truth = torch.where(mother >= 0, logits.gather(1, index).squeeze(1), 0.0)
    counted = weight * reachable
    nll = torch.where(counted > 0, log_normaliser - score_of_truth, 0.0)
    return (counted * nll).sum() / counted.sum().clamp(min=torch.finfo(logits.dtype).tiny)
