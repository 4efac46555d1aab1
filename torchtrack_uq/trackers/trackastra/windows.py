"""Run a tracking transformer over sliding windows and average its logits, staying on the device."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.trackers.trackastra.token_tensors import TokenTensors
from torchtrack_uq.trackers.trackastra.window_model import WindowModel
from torchtrack_uq.utils.progress import with_progress

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
