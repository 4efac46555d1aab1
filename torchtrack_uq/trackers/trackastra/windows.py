"""Run a tracking transformer over sliding windows and average its logits, staying on the device."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.common_motion import motion_since
from torchtrack_uq.trackers.trackastra.places import places_in_window
from torchtrack_uq.trackers.trackastra.tokens import as_model_sees_it
from torchtrack_uq.trackers.trackastra.view import ModelView
from torchtrack_uq.trackers.trackastra.window_model import WindowModel
from torchtrack_uq.utils.progress import with_progress


@dataclass(frozen=True)
class TokenTensors:
    """A movie's cells as the transformer's tokens: N cells in D dimensions with F features.

    Attributes:
        time: (N,) int64 frame of each cell.
        coords: (N, D) float32 centroids.
        features: (N, F) float32, or None for a model without features.
        offsets: (n_frames + 1,) the cells of frame t are offsets[t] to offsets[t + 1] - 1.
        from_corner: Whether a window's coordinates are counted from the corner of its cells (`corner_of`).
        reach: Distance up to which the model attends.
        motion: (N, G, D) how far the surroundings of each cell have moved since 1, ..., G frames before, which is taken
            out of windows; or None.
    """

    time: Tensor
    coords: Tensor
    features: Tensor | None
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]]
    from_corner: bool = True
    motion: Tensor | None = None
    reach: float = math.inf

    @classmethod
    def from_detections(
        cls,
        detections: Detections,
        use_features: bool,
        device: torch.device,
        *,
        from_corner: bool = True,
        still_for: int | None = None,
        reach: float = math.inf,
    ) -> "TokenTensors":
        """Put a movie's cells on a device; features in the order of Trackastra's `wrfeat`.

        Args:
            detections: The movie as the model sees it.
            use_features: Whether the model looks at features.
            device: Where to put them.
            from_corner: See the class.
            still_for: Frames of windows out of which the motion is taken that neighbours have in common, or None.
            reach: See the class.
        """
        motion = None
        if still_for is not None:
            since = motion_since(detections.offsets, detections.isotropic_coords, still_for - 1)
            motion = torch.from_numpy(since.astype(np.float32)).to(device)
        features = None
        if use_features:
            stacked = np.concatenate(list(detections.features.values()), axis=-1)
            features = torch.from_numpy(stacked).to(device)
        places = detections.coords
        if from_corner and len(places):  # near 0 single precision is finer, and a stray cell moves no median
            places = places - np.median(places, axis=0)
        return cls(
            time=torch.from_numpy(detections.frame).to(device),
            coords=torch.from_numpy(places.astype(np.float32)).to(device),
            features=features,
            offsets=detections.offsets,
            from_corner=from_corner,
            motion=motion,
            reach=reach,
        )

    @classmethod
    def of_model(
        cls,
        detections: Detections,
        config: Mapping[str, Any],
        view: ModelView,
        device: torch.device,
        *,
        from_corner: bool = True,
    ) -> "TokenTensors":
        """A movie's cells as a model sees them, on a device.

        Args:
            detections: The movie as it was measured.
            config: Of the model.
            view: How it sees movies.
            device: Where to put them.
            from_corner: See the class.

        Raises:
            InputError: As `as_model_sees_it`.
        """
        seen = as_model_sees_it(detections, config["coord_dim"], config["feat_dim"], view)
        still_for = config["window"] if view.without_common_motion else None
        return cls.from_detections(
            seen,
            config["feat_dim"] > 0,
            device,
            from_corner=from_corner,
            still_for=still_for,
            reach=float(config["spatial_pos_cutoff"]),
        )

    def of_window(self, start: int, window: int) -> Tensor:
        """(L, D) coordinates of the cells of one window, where they are in the movie."""
        return self.coords[int(self.offsets[start]) : int(self.offsets[start + window])]

    def batch(self, starts: list[int], window: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Pad the windows that start at the given frames to one batch of B windows of L tokens.

        Returns:
            (B, L, 1 + D) time and coordinates from the corner of the window's cells, (B, L, F) features or None, (B, L)
            bool padding mask; padding as in `trackastra.data.collate_sequence_padding`.
        """
        spans = [(int(self.offsets[t]), int(self.offsets[t + window])) for t in starts]
        longest = max(end - start for start, end in spans)
        padding = torch.ones(len(spans), longest, dtype=torch.bool, device=self.coords.device)
        points = self.coords.new_zeros(len(spans), longest, 1 + self.coords.shape[1])
        points[..., 0] = -1.0
        features = None
        if self.features is not None:
            features = self.features.new_zeros(len(spans), longest, self.features.shape[1])
        for b, (t, (start, end)) in enumerate(zip(starts, spans, strict=True)):
            padding[b, : end - start] = False
            # Trackastra takes the first frame's number off places as well, so late frames would lie elsewhere
            time = self.time[start:end] - t if self.from_corner else self.time[start:end]
            points[b, : end - start, 0] = time.to(points.dtype)
            points[b, : end - start, 1:] = self._places(t, start, end)
            if features is not None and self.features is not None:
                features[b, : end - start] = self.features[start:end]
        return points, features, padding

    def _places(self, first: int, start: int, end: int) -> Tensor:
        """Coordinates of the cells of a window that begins with frame `first`, as the model gets them."""
        coords, since = self.coords[start:end], self.time[start:end] - first
        motion = None if self.motion is None else self.motion[start:end]
        return places_in_window(coords, since, motion, self.reach if self.from_corner else None)


Blocks = list[Tensor]
"""Logits of one pair of frames from every window that holds both: (n_mothers, n_daughters), or (P,) of near pairs."""

AddEvents = Callable[[int, Tensor], None]
"""Takes the scores of events that a window gives, with its first frame."""

FramePair = tuple[int, int]
"""Frame t of the daughters, and how many frames before the mothers stand."""


def pair_logits(
    model: WindowModel,
    tokens: TokenTensors,
    window: int,
    batch_size: int,
    *,
    max_gap: int = 1,
    progress: bool,
    starts: range | None = None,
    add_events: AddEvents | None = None,
) -> Iterator[tuple[int, list[tuple[FramePair, Blocks]]]]:
    """Logits between frames up to `max_gap` apart from every window that holds both.

    Args:
        model: The model.
        tokens: The movie.
        window: Frames of a window.
        batch_size: Windows a forward pass.
        max_gap: How many frames a pair may be apart.
        progress: Whether to show a progress bar.
        starts: First frames of the windows that are looked at, whole batches; all by default.
        add_events: Gets the first frame of each window and its (L, 4) scores of events, in order, if the model has
            heads for them.

    Yields:
        After each batch of windows the frame up to which all is known now, since no later window holds it and
        the frame before; and, for each frame t for which that is new, in order, the logits of the pairs
        (t - 1, t), (t - 2, t), .... Pairs of which one side is empty are left out. With `starts`, at the end also
        the frames that later windows hold as well.
    """
    n_frames = len(tokens.offsets) - 1
    window = min(window, n_frames)
    every = window_starts(n_frames, window)
    starts = every if starts is None else starts
    end = n_frames if starts.stop == every.stop else starts.stop + window - 1
    waiting = _frame_pairs(starts.start, end, max_gap)
    counts = np.diff(tokens.offsets)
    local = model.is_local(tokens.offsets, window)
    batch_size = 1 if local else batch_size
    batches = [list(starts[k : k + batch_size]) for k in range(0, len(starts), batch_size)]
    known = starts.start
    for batch in with_progress(batches, "Scoring links", show=progress):
        occupied = [t for t in batch if tokens.offsets[t + window] > tokens.offsets[t]]
        if occupied and local:
            near = model.embeddings(
                *tokens.batch(occupied, window)[:2], tokens.of_window(occupied[0], window)
            )
            if add_events is not None and near.events is not None:
                add_events(occupied[0], near.events)
            for t, gap in _pairs_within(occupied[0], window, max_gap):
                if counts[t - gap] and counts[t]:
                    waiting[t, gap].append(near.near_logits(*_places(tokens.offsets, occupied[0], t, gap)))
        elif occupied:
            points, features, padding = tokens.batch(occupied, window)
            # without padding no mask: applying it to all pairs of tokens takes a tenth of the time
            mask = padding if len(occupied) > 1 else None
            logits, events = model.logits(points, features, mask)
            for b, start in enumerate(occupied):
                if add_events is not None and events is not None:
                    add_events(start, events[b, : len(tokens.of_window(start, window))])
                for t, gap in _pairs_within(start, window, max_gap):
                    if counts[t - gap] and counts[t]:
                        mothers, daughters = _places(tokens.offsets, start, t, gap)
                        waiting[t, gap].append(logits[b, mothers, daughters])
        last = end - 1 if batch[-1] == starts[-1] else batch[-1] + 1
        blocks = _taken(waiting, range(known + 1, last + 1), max_gap)
        known = last
        yield last, blocks


def copies_logits(
    model: WindowModel,
    copies: list[TokenTensors],
    window: int,
    batch_size: int,
    *,
    max_gap: int = 1,
    progress: bool,
    add_events: AddEvents | None = None,
) -> Iterator[tuple[FramePair, Tensor]]:
    """`pair_logits` of R copies of a movie that differ in coordinates and features only.

    The copies of a window have the same cells, so they form a batch without padding.

    `add_events` gets the (R, L, 4) scores of events of each window.

    Yields:
        A pair of frames and its (n_windows, R, n_mothers, n_daughters) logits.
    """
    offsets = copies[0].offsets
    n_frames = len(offsets) - 1
    window = min(window, n_frames)
    counts = np.diff(offsets)
    waiting = _frame_pairs(0, n_frames, max_gap)
    starts = list(window_starts(n_frames, window))
    for start in with_progress(starts, "Scoring perturbed copies", show=progress):
        if offsets[start + window] > offsets[start]:
            pieces: list[Tensor] = []
            found: list[Tensor] = []
            for first in range(0, len(copies), batch_size):
                batch = [copy.batch([start], window) for copy in copies[first : first + batch_size]]
                points = torch.cat([part[0] for part in batch])
                features = [part[1] for part in batch if part[1] is not None]
                stacked = torch.cat(features) if features else None
                piece, events = model.logits(points, stacked, None)
                pieces.append(piece)
                found += [] if events is None else [events]
            logits = torch.cat(pieces)
            if add_events is not None and found:
                add_events(start, torch.cat(found))
            for t, gap in _pairs_within(start, window, max_gap):
                if counts[t - gap] and counts[t]:
                    mothers, daughters = _places(offsets, start, t, gap)
                    waiting[t, gap].append(logits[:, mothers, daughters])
        done = range(1, n_frames if start == starts[-1] else start + 2)
        for pair, blocks in _taken(waiting, done, max_gap):
            yield pair, torch.stack(blocks)


def window_starts(n_frames: int, window: int) -> range:
    """First frames of all windows of a movie; a movie shorter than a window is one."""
    return range(n_frames - min(window, n_frames) + 1)


def _frame_pairs(first: int, end: int, max_gap: int) -> dict[FramePair, Blocks]:
    """No logits yet of any pair of frames up to `max_gap` apart, from frame `first` to the one before `end`."""
    return {(t, gap): [] for t in range(first + 1, end) for gap in range(1, min(max_gap, t - first) + 1)}


def _pairs_within(start: int, window: int, max_gap: int) -> Iterator[FramePair]:
    """The pairs of frames in a window."""
    for t in range(start + 1, start + window):
        for gap in range(1, min(max_gap, t - start) + 1):
            yield t, gap


def _places(
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]], start: int, t: int, gap: int
) -> tuple[slice, slice]:
    """Where mothers and daughters of a pair stand among the tokens of the window that begins with frame `start`."""
    first, end, first_daughter, end_daughter = (
        int(offsets[k] - offsets[start]) for k in (t - gap, t - gap + 1, t, t + 1)
    )
    return slice(first, end), slice(first_daughter, end_daughter)


def _taken(waiting: dict[FramePair, Blocks], frames: range, max_gap: int) -> list[tuple[FramePair, Blocks]]:
    """Take out what is known of the daughters in these frames; pairs without logits are left out."""
    pairs = [(t, gap) for t in frames for gap in range(1, max_gap + 1)]
    found = [(pair, waiting.pop(pair, [])) for pair in pairs]
    return [(pair, blocks) for pair, blocks in found if blocks]
