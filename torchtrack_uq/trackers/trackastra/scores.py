"""How a Trackastra model's logits become scores of links."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.segments import segment_logsumexp
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk, candidates_from_chunks
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.trackastra.event_heads import EventAverage
from torchtrack_uq.trackers.trackastra.places import distances
from torchtrack_uq.trackers.trackastra.token_tensors import TokenTensors
from torchtrack_uq.trackers.trackastra.window_model import best_of_daughter, near_links

# Trackastra adds this to the denominator of every normalisation (`trackastra.utils.blockwise_causal_norm`),
# which is a null class in all but name for the modes that have no other.
_NORMALISATION_EPS = 1e-6

Links = tuple[Tensor, Tensor, Tensor]
"""Mothers, daughters and scores of some links."""

LinksByGap = dict[int, list[Links]]
"""Links over 1, 2, ... frames."""


@dataclass(frozen=True)
class LinkScores:
    """How logits become scores; see `TrackastraTracker`.

    Attributes:
        causal_norm: How the model normalises its logits.
        spatial_cutoff: Longest link in pixels.
        max_candidates: How many mothers of a daughter to keep in each of the frames before; None for all.
        average: What to average over windows.
        max_gap: How many frames a link may span.
        miss: Score of a cell being missed in a frame.
    """

    causal_norm: str
    spatial_cutoff: float
    max_candidates: int | None
    average: Literal["logits", "probabilities"]
    max_gap: int
    miss: float

    def links(self, tokens: TokenTensors, t: int, logits: Tensor, gap: int = 1) -> Links:
        """The best mothers of every cell of frame `t`, which stand `gap` frames before.

        Args:
            tokens: The movie.
            t: Frame of the daughters.
            logits: (windows, mothers, daughters) from every window that holds both frames, or (windows, P) of the
                pairs that `near_links` names.
            gap: How many frames before the mothers stand.
        """
        first_mother, end_mother, first_daughter, end = (
            int(tokens.offsets[k]) for k in (t - gap, t - gap + 1, t, t + 1)
        )
        if logits.ndim == 2:
            return self._near_links(
                tokens, slice(first_mother, end_mother), slice(first_daughter, end), logits
            )
        far = (
            distances(tokens.coords[first_mother:end_mother], tokens.coords[first_daughter:end])
            > self.spatial_cutoff
        )
        score = self._average_windows(logits, far).masked_fill(far, -torch.inf)
        kept = len(score) if self.max_candidates is None else min(self.max_candidates, len(score))
        best, which = torch.topk(score, kept, dim=0)
        daughter = torch.arange(first_daughter, end, device=score.device).expand(kept, -1)
        return (which + first_mother).flatten(), daughter.flatten(), best.flatten()

    def _near_links(self, tokens: TokenTensors, mothers: slice, daughters: slice, logits: Tensor) -> Links:
        mother, daughter = near_links(tokens.coords[mothers], tokens.coords[daughters], self.spatial_cutoff)
        if self.causal_norm == "linear":
            logits = nn.functional.logsigmoid(logits)
        if self.average == "logits" or self.causal_norm != "quiet_softmax":
            score = logits.mean(dim=0)
        else:
            n = daughters.stop - daughters.start
            null = torch.stack([-segment_logsumexp(one, daughter, n, one.new_zeros(n)) for one in logits])
            score = (logits + null[:, daughter]).logsumexp(dim=0) - null.logsumexp(dim=0)[daughter]
        best = best_of_daughter(daughter, score, self.max_candidates)
        return mother[best] + mothers.start, daughter[best] + daughters.start, score[best]

    def _average_windows(self, logits: Tensor, far: Tensor) -> Tensor:
        """(windows, mothers, daughters) logits to (mothers, daughters) scores."""
        if self.causal_norm == "linear":
            logits = nn.functional.logsigmoid(logits)
        if self.average == "logits" or self.causal_norm != "quiet_softmax":
            return logits.mean(dim=0)
        null = logits.new_zeros(len(logits), 1, logits.shape[2])
        log_p = torch.cat([null, logits.masked_fill(far, -torch.inf)], dim=1).log_softmax(dim=1)
        mean = log_p.logsumexp(dim=0)
        return mean[1:] - mean[:1]

    def chunk(
        self,
        tokens: TokenTensors,
        first: int,
        last: int,
        links: list[Links],
        events: EventAverage | None = None,
    ) -> LinkChunk:
        """Links of the frame pairs from `first` to `last`, with the scores of the events.

        Args:
            tokens: The movie.
            first: Frame of the first mothers.
            last: Frame of the last daughters.
            links: From `links`, frame by frame.
            events: What the model's heads add, see `EventHeads`.
        """
        mother, daughter, score = _together(links, tokens.coords.device)
        first_mother, first_daughter, first_last, end = (
            int(tokens.offsets[t]) for t in (first, first + 1, last, last + 1)
        )
        appear = self._null(score, daughter - first_daughter, end - first_daughter)
        disappear = divide = score.new_zeros(first_last - first_mother)
        if events is not None:
            appear = appear + events.mean(slice(first_daughter, end))[:, 0].to(appear)
            mothers = events.mean(slice(first_mother, first_last)).to(appear)
            disappear, divide = mothers[:, 1], mothers[:, 2]
        is_candidate = score.detach() != -torch.inf
        return LinkChunk(first, last, mother, daughter, score, is_candidate, appear, disappear, divide)

    def graph(
        self,
        detections: Detections,
        tokens: TokenTensors,
        links: LinksByGap,
        events: EventAverage | None = None,
    ) -> CandidateGraph:
        """The links of a whole movie; the same links between consecutive frames and events whatever `max_gap` is.

        Args:
            detections: The movie.
            tokens: Its cells as the model sees them.
            links: From `links`, by gap.
            events: What the model's heads add, see `EventHeads`.
        """
        n, last = len(detections), detections.n_frames - 1
        _check_finite("link", [score for of_gap in links.values() for _, _, score in of_gap])
        chunks = [self.chunk(tokens, 0, last, links[1])] if last > 0 else []
        graph = candidates_from_chunks(detections, chunks, tokens.coords.device)
        parts = [(graph.mother, graph.daughter, graph.score)]
        added = None if events is None else events.mean()
        _check_finite("event", [] if added is None else [added])
        for gap in range(2, self.max_gap + 1):
            mother, daughter, score = _together(links[gap], tokens.coords.device)
            # a score is relative to that of no mother in the frame of the mothers
            score = score + (graph.appear - self._null(score, daughter, n))[daughter] + (gap - 1) * self.miss
            if added is not None:
                score = score + (gap - 1) * added[mother, 3]
            meant = score.detach() != -torch.inf
            parts.append((mother[meant], daughter[meant], score[meant]))
        mother, daughter, score = (torch.cat(column) for column in zip(*parts, strict=True))
        scored = [graph.appear, graph.disappear, graph.divide]
        if added is not None:
            scored = [column + added[:, k].to(column) for k, column in enumerate(scored)]
        return CandidateGraph.from_links(detections, mother, daughter, score, *scored, max_gap=self.max_gap)

    def _null(self, score: Tensor, daughter: Tensor, n_daughters: int) -> Tensor:
        """(n_daughters,) score of having no mother among these links, as the model's normalisation has it."""
        null = score.new_zeros(n_daughters)
        if self.causal_norm == "softmax":
            # at least 0, as in Trackastra
            return null.scatter_reduce(0, daughter, score, "amax") + math.log(_NORMALISATION_EPS)
        return null + math.log(_NORMALISATION_EPS) if self.causal_norm == "linear" else null


def renumbered(links: Links, index: Tensor) -> Links:
    """Links of some frames' cells as links of all cells; `index` says which those are."""
    mother, daughter, score = links
    return index[mother], index[daughter], score


def _check_finite(what: str, scores: list[Tensor]) -> None:
    """Say that it is the model where what it computes is no number.

    Raises:
        InputError: A score is NaN or +inf; links have -inf where they are too long.
    """
    values = torch.cat(scores) if scores else torch.zeros(0)  # at once, since a device is waited for
    n_bad = int((values.isnan() | (values == torch.inf)).sum())
    if n_bad:
        raise InputError(
            f"the model gives {n_bad} {what} scores that are no finite numbers; its weights are damaged or too large "
            "for single precision, or its cells are measured in other ways: check the model folder"
        )


def _together(links: list[Links], device: torch.device) -> Links:
    if not links:
        none = torch.zeros(0, dtype=torch.int64, device=device)
        return none, none, torch.zeros(0, device=device)
    mother, daughter, score = (torch.cat(parts) for parts in zip(*links, strict=True))
    return mother, daughter, score.float()
