"""The transformer on one window of frames: on all pairs of cells at once, or on pairs of near cells only."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.trackers.trackastra.attention import one_attention_mask
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads, captured_embeddings
from torchtrack_uq.trackers.trackastra.local_attention import local_embeddings
from torchtrack_uq.trackers.trackastra.tiles import near_pairs

LOCAL_FROM = 4000
"""Cells in a window from which only near pairs are looked at: all pairs of 16,000 take 6 GB, and more time."""


@dataclass(frozen=True)
class WindowModel:
    """A model and how it can be run.

    Attributes:
        transformer: The model.
        one_mask: Whether all its layers have the same attention mask, see `has_one_mask`.
        local_form: Whether it can be run on near pairs, see `has_local_form`.
        event_heads: What scores events from its embeddings, or None.
    """

    transformer: Any
    one_mask: bool
    local_form: bool
    event_heads: EventHeads | None = None

    @property
    def reach(self) -> float:
        """How far cells look, and links go."""
        return float(self.transformer.config["spatial_pos_cutoff"])

    def is_local(self, offsets: np.ndarray[Any, np.dtype[np.int64]], window: int) -> bool:
        """Whether a movie is looked at in near pairs: where a window has very many cells."""
        most = int((offsets[window:] - offsets[: len(offsets) - window]).max(initial=0))
        return self.local_form and most > LOCAL_FROM

    def logits(
        self, points: Tensor, features: Tensor | None, padding_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, L, L) logits of all pairs, and (B, L, 4) scores of events if there are heads for them."""
        with (
            one_attention_mask(self.transformer) if self.one_mask else nullcontext(),
            self._captured() as found,
        ):
            logits: Tensor = self.transformer(points, features=features, padding_mask=padding_mask)
        return logits, None if self.event_heads is None else self.event_heads(**found)

    def _captured(self) -> AbstractContextManager[dict[str, Tensor]]:
        return nullcontext({}) if self.event_heads is None else captured_embeddings(self.transformer)

    def embeddings(self, points: Tensor, features: Tensor | None, coords: Tensor) -> "Embeddings":
        """Of the cells of one window, which stand at `coords` in the movie."""
        with self._captured() as found:
            x, y = local_embeddings(self.transformer, points, features)
        events = None if self.event_heads is None else self.event_heads(**found)[0]
        return Embeddings(x, y, coords, self.reach, events)


@dataclass(frozen=True)
class Embeddings:
    """What the model makes of L cells of a window; the logit of a link is a product.

    Attributes:
        mothers: (L, E).
        daughters: (L, E).
        coords: (L, D).
        reach: Longest link.
        events: (L, 4) scores of events, if there are heads for them.
    """

    mothers: Tensor
    daughters: Tensor
    coords: Tensor
    reach: float
    events: Tensor | None = None

    def near_logits(self, mothers: slice, daughters: slice) -> Tensor:
        """(P,) logits of near pairs of some mothers and some daughters, in the order of `near_links`."""
        x, y = self.mothers[mothers], self.daughters[daughters]
        found = [
            (x[tile.keys] @ y[tile.queries].T)[near]
            for tile, near in near_pairs(self.coords[daughters], self.coords[mothers], self.reach)
        ]
        return torch.cat(found) if found else x.new_zeros(0)


def near_links(mothers: Tensor, daughters: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """(P,) indices of mothers and daughters that are within reach of each other.

    Args:
        mothers: (M, D) coordinates.
        daughters: (N, D) coordinates.
        reach: Longest link.
    """
    found = [
        (tile.keys[key], tile.queries[query])
        for tile, near in near_pairs(daughters, mothers, reach)
        for key, query in [near.nonzero(as_tuple=True)]
    ]
    if not found:
        none = torch.zeros(0, dtype=torch.int64, device=mothers.device)
        return none, none
    mother, daughter = (torch.cat(part) for part in zip(*found, strict=True))
    return mother, daughter


def best_of_daughter(daughter: Tensor, score: Tensor, n: int | None) -> Tensor:
    """Indices of the n links of highest score of each daughter, or all.

    >>> best_of_daughter(torch.tensor([0, 0, 0, 4]), torch.tensor([1.0, 3.0, 2.0, 0.0]), 2).tolist()
    [1, 2, 3]
    """
    if n is None:
        return torch.arange(len(daughter), device=daughter.device)
    order = torch.argsort(score.detach(), descending=True, stable=True)
    order = order[torch.argsort(daughter[order], stable=True)]
    its = daughter[order]
    first = torch.searchsorted(its, its)  # where the links of the same daughter begin
    return order[torch.arange(len(its), device=its.device) - first < n]
