"""Perturbed copies of a movie, scored together: the copies of a window are a batch of the transformer."""

import torch
from torch import Tensor

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.trackastra.event_heads import EventAverage
from torchtrack_uq.trackers.trackastra.scores import LinksByGap, renumbered
from torchtrack_uq.trackers.trackastra.shares import Pass, ShareScorer
from torchtrack_uq.trackers.trackastra.windows import copies_logits


def score_copies(
    scorer: ShareScorer, n_frames: int, copies: list[Detections], per_batch: int, *, progress: bool
) -> list[CandidateGraph]:
    """The links of each copy.

    Args:
        scorer: How windows are scored.
        n_frames: Frames of the movie.
        copies: Of the same cells, with other coordinates and features.
        per_batch: Copies in a forward pass.
        progress: Whether to show a progress bar.
    """
    scores, max_gap = scorer.scores, scorer.scores.max_gap
    links: list[LinksByGap] = [{gap: [] for gap in range(1, max_gap + 1)} for _ in copies]
    whole = [scorer.tokens_of(copy) for copy in copies]
    heads = scorer.model.event_heads
    events = (
        None if heads is None else [EventAverage(one.offsets, scorer.window, one.coords) for one in whole]
    )

    def add_events(start: int, said: Tensor) -> None:
        for average, its in zip(events or [], said, strict=True):
            average.add(start, its)

    def score(way: Pass) -> None:
        index, tokens = zip(*(scorer.seen(copy, way) for copy in copies), strict=True)
        consecutive = way.step == 1
        for (t, gap), logits in copies_logits(
            scorer.model,
            list(tokens),
            scorer.window,
            per_batch,
            max_gap=scorer.longest if consecutive else 1,
            progress=progress,
            add_events=add_events if consecutive and events else None,
        ):
            for r, copy in enumerate(tokens):
                found = scores.links(copy, t, logits[:, r], gap)
                its = found if index[r] is None else renumbered(found, torch.as_tensor(index[r]))
                links[r][gap * way.step].append(its)

    for way in scorer.ways(n_frames):
        score(way)
    return [
        scores.graph(copy, tokens, found, None if events is None else events[r])
        for r, (copy, tokens, found) in enumerate(zip(copies, whole, links, strict=True))
    ]
