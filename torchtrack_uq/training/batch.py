"""Batches of windows: small windows share a row, rows are padded to the longest."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.training.window import Window


def collate_windows(windows: Sequence[Window], pack_apart: float | None = None) -> dict[str, Tensor]:
    """Pad B rows of cells to the longest, as Trackastra does: zeros, and -1 as the time of padding.

    Args:
        windows: Windows, none of them empty; a row each, unless they are packed.
        pack_apart: If given, small windows share a row of at most the largest window's cells, shifted at
            least this many pixels apart. Beyond the model's `spatial_pos_cutoff` cells neither attend to
            each other nor are candidates, so that a window is scored as if it were alone and shifted, with less
            padding. (The shift itself matters: Trackastra embeds absolute positions. In training it adds to
            `Augmentation.offset`.)

    Returns:
        `coords` (B, N, 1 + D) float32 with time first, `features` (B, N, F) float32, `timepoints` (B, N)
        int64, `padding_mask` (B, N) bool, `mother` (B, N) int64 (index in the row, -1 for null) and `weight`
        (B, N) float32: 1 / (number of daughters with a target in the window), 0 for all other cells. And
        `window` (B, N) int64, index of each cell's window among those given, -1 for padding, and `mother_known`
        (B, N) bool as in `Window`. And `earlier` (B, N, G) int64 and `earlier_weight` (B, N, G) float32, as `mother`
        and `weight` for ancestors 2, ..., G + 1 frames before.
    """
    weights = [_weights_of(window.has_target) for window in windows]
    rows = [[i] for i in range(len(windows))]
    if pack_apart is not None:
        windows = _spread_out(windows, pack_apart)
        rows = _fill_rows([len(window) for window in windows])
    lengths = [sum(len(windows[i]) for i in row) for row in rows]

    def padded(columns: Sequence[NDArray[np.generic]], value: float) -> Tensor:
        block = np.full((len(rows), max(lengths), *columns[0].shape[1:]), value, dtype=columns[0].dtype)
        for target, row, length in zip(block, rows, lengths, strict=True):
            target[:length] = np.concatenate([columns[i] for i in row])
        return torch.from_numpy(block)

    starts = {i: sum(len(windows[k]) for k in row[:place]) for row in rows for place, i in enumerate(row)}
    mothers = [np.where(w.mother >= 0, w.mother + starts[i], -1) for i, w in enumerate(windows)]
    earlier = [np.where(w.earlier >= 0, w.earlier + starts[i], -1) for i, w in enumerate(windows)]
    timepoints = padded([window.frame for window in windows], -1)
    coords = padded([window.coords for window in windows], 0)
    return {
        "coords": torch.cat([timepoints.clamp(min=0).unsqueeze(-1).to(coords.dtype), coords], dim=-1),
        "features": padded([window.features for window in windows], 0),
        "timepoints": timepoints,
        "padding_mask": timepoints < 0,
        "mother": padded(mothers, -1),
        "weight": padded(weights, 0),
        "window": padded([np.full(len(window), i) for i, window in enumerate(windows)], -1),
        "mother_known": padded([window.mother_known for window in windows], False),
        "earlier": padded(earlier, -1),
        "earlier_weight": padded([_weights_of(window.earlier_known) for window in windows], 0),
    }


def _weights_of(known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Of each column, 1 over the number of those that are known; 0 for all others."""
    weights: NDArray[np.float32] = (known / np.maximum(1, known.sum(axis=0))).astype(np.float32)
    return weights


def _spread_out(windows: Sequence[Window], apart: float) -> list[Window]:
    """Windows one after the other along the last axis, with gaps."""
    spread: list[Window] = []
    end = 0.0
    for window in windows:
        shift = np.zeros(window.coords.shape[1], dtype=np.float32)
        lowest = float(window.coords[:, -1].min())
        if spread:
            shift[-1] = end + apart - lowest
        moved = window.replace(coords=window.coords + shift)
        end = float(moved.coords[:, -1].max())
        spread.append(moved)
    return spread


def _fill_rows(lengths: Sequence[int]) -> list[list[int]]:
    """First fit, longest first: which windows share a row of the longest window's length."""
    capacity = max(lengths)
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for row, left in enumerate(room):
            if lengths[i] <= left:
                rows[row].append(i)
                room[row] -= lengths[i]
                break
        else:
            rows.append([i])
            room.append(capacity - lengths[i])
    return rows
