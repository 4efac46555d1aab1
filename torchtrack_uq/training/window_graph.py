"""A batch of training windows as one candidate graph: the way from a model's logits into the layer."""

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.training.loss import candidate_mask
from torchtrack_uq.truth.targets import LinkTargets


def window_graph(
    logits: Tensor, batch: dict[str, Tensor], spatial_cutoff: float, max_candidates: int = 16
) -> tuple[CandidateGraph, LinkTargets]:
    """Candidate links and true mothers of all windows of a batch, one window after the other in time.

    A batch of movies, as `CandidateGraph.batch` makes one: with W frames in the longest window, frame t of window w
    becomes frame w W + t.

    Args:
        logits: (B, N, N) logits of mother i and daughter j, of any floating dtype; becomes float32 here.
        batch: From `collate_windows`.
        spatial_cutoff: Longest candidate link in pixels.
        max_candidates: Mothers of highest logit to keep for each daughter; the true one stays in any case, or there
            would be nothing to learn where she is far down.

    Returns:
        The graph, event scores 0, with gradients into the logits; and its targets.

    Raises:
        InputError: A candidate's logit is NaN or infinite: the model has diverged.
    """
    timepoints, window = batch["timepoints"], batch["window"]
    n_rows, n = timepoints.shape
    candidates = candidate_mask(batch["coords"], timepoints, spatial_cutoff)
    seen = logits.detach().float()
    if not bool(torch.isfinite(seen[candidates]).all()):
        raise InputError("the model's logits are NaN or infinite: it has diverged; lower the learning rate")
    n_frames, n_windows = (int(longest) + 1 for longest in (timepoints.max(), window.max()))
    frame = window * n_frames + timepoints
    present = (timepoints >= 0).flatten().nonzero().squeeze(1)
    order = present[torch.argsort(frame.flatten()[present], stable=True)]
    index = torch.full((n_rows * n,), -1, device=order.device)
    index[order] = torch.arange(len(order), device=order.device)
    start = torch.arange(n_rows, device=order.device).unsqueeze(1) * n

    has_mother = batch["mother"] >= 0
    true = torch.zeros_like(candidates).scatter_(
        1, batch["mother"].clamp(min=0).unsqueeze(1), has_mother.unsqueeze(1)
    )
    kept = candidates & (_among_best(seen.masked_fill(~candidates, -torch.inf), max_candidates) | true)
    row, i, j = kept.nonzero(as_tuple=True)
    mother, daughter = index[row * n + i], index[row * n + j]
    by_daughter = torch.argsort(daughter * len(order) + mother)
    score = logits[row, i, j].float()[by_daughter]
    nothing = score.new_zeros(len(order))
    graph = CandidateGraph(
        mother=mother[by_daughter],
        daughter=daughter[by_daughter],
        score=score,
        appear=nothing,
        disappear=nothing,
        divide=nothing,
        frame=frame.flatten()[order],
        label=torch.arange(1, len(order) + 1, device=order.device),
        coords=batch["coords"][..., 1:].reshape(n_rows * n, -1)[order],
        n_frames=n_windows * n_frames,
        starts=tuple(range(0, n_windows * n_frames, n_frames)),
    )
    true_mother = index[(batch["mother"].clamp(min=0) + start).flatten()]
    targets = LinkTargets(
        torch.where(has_mother.flatten(), true_mother, -1)[order],
        (batch["weight"] > 0).flatten()[order],
        batch["mother_known"].flatten()[order],
    )
    return graph, targets


def _among_best(score: Tensor, k: int) -> Tensor:
    """(B, N, N) bool, the k highest of each column and what equals the last of them."""
    if score.shape[1] <= k:
        return torch.ones_like(score, dtype=torch.bool)
    return score >= score.topk(k, dim=1).values[:, -1:]
