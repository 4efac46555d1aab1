"""A batch of training windows as one candidate graph: the way from a model's logits into the layer."""

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.trackers.trackastra.tracker import MISS
from torchtrack_uq.training.loss import candidate_mask
from torchtrack_uq.truth.targets import LinkTargets


def window_graph(
    logits: Tensor,
    batch: dict[str, Tensor],
    spatial_cutoff: float,
    max_candidates: int = 16,
    *,
    max_gap: int = 1,
    miss: float = MISS,
    events: Tensor | None = None,
) -> tuple[CandidateGraph, LinkTargets]:
    """Candidate links and true mothers of all windows of a batch, one window after the other in time.

    A batch of movies, as `CandidateGraph.batch` makes one: with W frames in the longest window, frame t of window w
    becomes frame w W + t. Scores are those that `TrackastraTracker` gives a movie of one window.

    Args:
        logits: (B, N, N) logits of mother i and daughter j, of any floating dtype; becomes float32 here.
        batch: From `collate_windows`; with links over gaps, its windows have `earlier` ancestors that far.
        spatial_cutoff: Longest candidate link in pixels.
        max_candidates: Mothers of highest logit to keep for each daughter in each frame before; the true one stays in
            any case, or there would be nothing to learn where she is far down.
        max_gap: How many frames a link may span.
        miss: Score of a cell being missed in a frame.
        events: (B, N, 4) scores of events, see `EventHeads`; 0 without.

    Returns:
        The graph, with gradients into the logits and the scores of events; and its targets.

    Raises:
        InputError: A candidate's logit is NaN or infinite: the model has diverged.
    """
    timepoints, window = batch["timepoints"], batch["window"]
    n_rows, n = timepoints.shape
    n_frames, n_windows = (int(longest) + 1 for longest in (timepoints.max(), window.max()))
    frame = window * n_frames + timepoints
    present = (timepoints >= 0).flatten().nonzero().squeeze(1)
    order = present[torch.argsort(frame.flatten()[present], stable=True)]
    index = torch.full((n_rows * n,), -1, device=order.device)
    index[order] = torch.arange(len(order), device=order.device)
    start = torch.arange(n_rows, device=order.device).unsqueeze(1) * n
    mother_in_row, known = _nearest_ancestors(batch, max_gap)

    parts = []
    for gap in range(1, max_gap + 1):
        candidates = candidate_mask(batch["coords"], timepoints, spatial_cutoff, gap)
        seen = logits.detach().float()
        if not bool(torch.isfinite(seen[candidates]).all()):
            raise InputError(
                "the model's logits are NaN or infinite: it has diverged; lower the learning rate"
            )
        has_mother = mother_in_row >= 0
        true = torch.zeros_like(candidates).scatter_(
            1, mother_in_row.clamp(min=0).unsqueeze(1), has_mother.unsqueeze(1)
        )
        kept = candidates & (_among_best(seen.masked_fill(~candidates, -torch.inf), max_candidates) | true)
        row, i, j = kept.nonzero(as_tuple=True)
        score = logits[row, i, j].float() + (gap - 1) * miss
        if events is not None and gap > 1:
            score = score + (gap - 1) * events[row, i, 3].float()
        parts.append((index[row * n + i], index[row * n + j], score))
    mother, daughter, score = (torch.cat(column) for column in zip(*parts, strict=True))
    by_daughter = torch.argsort(daughter * len(order) + mother)
    nothing = score.new_zeros(len(order))
    appear, disappear, divide = (
        nothing if events is None else events[..., k].reshape(-1)[order].float() for k in range(3)
    )
    graph = CandidateGraph(
        mother=mother[by_daughter],
        daughter=daughter[by_daughter],
        score=score[by_daughter],
        appear=appear,
        disappear=disappear,
        divide=divide,
        frame=frame.flatten()[order],
        label=torch.arange(1, len(order) + 1, device=order.device),
        coords=batch["coords"][..., 1:].reshape(n_rows * n, -1)[order],
        n_frames=n_windows * n_frames,
        max_gap=max_gap,
        starts=tuple(range(0, n_windows * n_frames, n_frames)),
    )
    true_mother = index[(mother_in_row.clamp(min=0) + start).flatten()]
    targets = LinkTargets(
        torch.where((mother_in_row >= 0).flatten(), true_mother, -1)[order],
        known.flatten()[order],
        batch["mother_known"].flatten()[order],
    )
    return graph, targets


def _nearest_ancestors(batch: dict[str, Tensor], max_gap: int) -> tuple[Tensor, Tensor]:
    """(B, N) index in the row of each cell's nearest ancestor, -1 for none, and whether that is known."""
    mother, known = batch["mother"], batch["weight"] > 0
    for gap in range(2, max_gap + 1):
        earlier, earlier_known = batch["earlier"][..., gap - 2], batch["earlier_weight"][..., gap - 2] > 0
        open_ = mother < 0
        known = known & (~open_ | earlier_known | (batch["timepoints"] < gap))
        mother = torch.where(open_ & earlier_known, earlier, mother)
    return mother, known


def _among_best(score: Tensor, k: int) -> Tensor:
    """(B, N, N) bool, the k highest of each column and what equals the last of them."""
    if score.shape[1] <= k:
        return torch.ones_like(score, dtype=torch.bool)
    return score >= score.topk(k, dim=1).values[:, -1:]
