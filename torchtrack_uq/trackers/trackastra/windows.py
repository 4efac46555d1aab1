"""Run a tracking transformer over sliding windows and average its logits, staying on the device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.utils.progress import with_progress


@dataclass(frozen=True)
class TokenTensors:
    """A movie's cells as the transformer's tokens: N cells in D dimensions with F features.

    Attributes:
        time: (N,) int64 frame of each cell.
        coords: (N, D) float32 centroids.
        features: (N, F) float32, or None for a model without features.
        offsets: (n_frames + 1,) the cells of frame t are offsets[t] to offsets[t + 1] - 1.
    """

    time: Tensor
    coords: Tensor
    features: Tensor | None
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]]

    @classmethod
    def from_detections(
        cls, detections: Detections, use_features: bool, device: torch.device
    ) -> "TokenTensors":
        """Put a movie's cells on a device; features in the order of Trackastra's `wrfeat`."""
        features = None
        if use_features:
            stacked = np.concatenate(list(detections.features.values()), axis=-1)
            features = torch.from_numpy(stacked).to(device)
        return cls(
            time=torch.from_numpy(detections.frame).to(device),
            coords=torch.from_numpy(detections.coords).to(device),
            features=features,
            offsets=detections.offsets,
        )

    def batch(self, starts: list[int], window: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Pad the windows that start at the given frames to one batch of B windows of L tokens.

        Returns:
            (B, L, 1 + D) time and coordinates, (B, L, F) features or None, (B, L) bool padding mask; padding
            as in `trackastra.data.collate_sequence_padding`.
        """
        spans = [(int(self.offsets[t]), int(self.offsets[t + window])) for t in starts]
        longest = max(end - start for start, end in spans)
        padding = torch.ones(len(spans), longest, dtype=torch.bool, device=self.coords.device)
        points = self.coords.new_zeros(len(spans), longest, 1 + self.coords.shape[1])
        points[..., 0] = -1.0
        features = None
        if self.features is not None:
            features = self.features.new_zeros(len(spans), longest, self.features.shape[1])
        for b, (start, end) in enumerate(spans):
            padding[b, : end - start] = False
            points[b, : end - start, 0] = self.time[start:end].to(points.dtype)
            points[b, : end - start, 1:] = self.coords[start:end]
            if features is not None and self.features is not None:
                features[b, : end - start] = self.features[start:end]
        return points, features, padding


Blocks = list[Tensor]
"""Logits of one frame pair, (n_mothers, n_daughters) from every window that holds both frames."""


def pair_logits(
    transformer: Callable[..., Tensor], tokens: TokenTensors, window: int, batch_size: int, *, progress: bool
) -> Iterator[tuple[int, list[tuple[int, Blocks]]]]:
    """Logits between consecutive frames from every window that holds both.

    Yields:
        After each batch of windows the frame up to which all is known now, since no later window holds it and
        the frame before; and, for each frame t for which that is new, in order, t and the logits of the pair
        (t - 1, t). Frame pairs of which one side is empty are left out.
    """
    n_frames = len(tokens.offsets) - 1
    window = min(window, n_frames)
    waiting: dict[int, Blocks] = {t: [] for t in range(1, n_frames)}
    counts = np.diff(tokens.offsets)
    starts = range(n_frames - window + 1)
    batches = [list(starts[k : k + batch_size]) for k in range(0, len(starts), batch_size)]
    known = 0
    for batch in with_progress(batches, "Scoring links", show=progress):
        occupied = [t for t in batch if tokens.offsets[t + window] > tokens.offsets[t]]
        if occupied:
            points, features, padding = tokens.batch(occupied, window)
            # without padding no mask: applying it to all pairs of tokens takes a tenth of the time
            mask = padding if len(occupied) > 1 else None
            logits = transformer(points, features=features, padding_mask=mask)
            for b, start in enumerate(occupied):
                base = int(tokens.offsets[start])
                for t in range(start + 1, start + window):
                    if counts[t - 1] and counts[t]:
                        a0, a1, b1 = (int(tokens.offsets[k]) - base for k in (t - 1, t, t + 1))
                        waiting[t].append(logits[b, a0:a1, a1:b1])
        last = n_frames - 1 if batch[-1] == starts[-1] else batch[-1] + 1
        blocks = [(t, waiting.pop(t)) for t in range(known + 1, last + 1)]
        known = last
        yield last, [(t, found) for t, found in blocks if found]


def copies_logits(
    transformer: Callable[..., Tensor],
    copies: list[TokenTensors],
    window: int,
    batch_size: int,
    *,
    progress: bool,
) -> Iterator[tuple[int, Tensor]]:
    """`pair_logits` of R copies of a movie that differ in coordinates and features only.

    The copies of a window have the same cells, so they form a batch without padding.

    Yields:
        Frame t of the daughters and (n_windows, R, n_mothers, n_daughters) logits.
    """
    offsets = copies[0].offsets
    n_frames = len(offsets) - 1
    window = min(window, n_frames)
    counts = np.diff(offsets)
    waiting: dict[int, list[Tensor]] = {t: [] for t in range(1, n_frames)}
    starts = list(range(n_frames - window + 1))
    for start in with_progress(starts, "Scoring perturbed copies", show=progress):
        base = int(offsets[start])
        if offsets[start + window] > base:
            pieces = []
            for first in range(0, len(copies), batch_size):
                batch = [copy.batch([start], window) for copy in copies[first : first + batch_size]]
                points = torch.cat([part[0] for part in batch])
                features = [part[1] for part in batch if part[1] is not None]
                stacked = torch.cat(features) if features else None
                pieces.append(transformer(points, features=stacked, padding_mask=None))
            logits = torch.cat(pieces)
            for t in range(start + 1, start + window):
                if counts[t - 1] and counts[t]:
                    a0, a1, b1 = (int(offsets[k]) - base for k in (t - 1, t, t + 1))
                    waiting[t].append(logits[:, a0:a1, a1:b1])
        last = start == starts[-1]
        for t in range(1, n_frames) if last else range(1, start + 2):
            blocks = waiting.pop(t, [])
            if blocks:
                yield t, torch.stack(blocks)
