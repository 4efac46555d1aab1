"""Where the cells of a window lie for a model: from a corner that strays do not move, without common motion."""

import torch
from torch import Tensor

_STRAYS = 0.1
"""Of the cells of the largest part."""
_WIDER = 1 + 1e-4
"""Than the reach, so that rounding does not part cells that just see each other."""


def places_in_window(coords: Tensor, since: Tensor, motion: Tensor | None, reach: float | None) -> Tensor:
    """Coordinates of the cells of a window as the model gets them.

    Args:
        coords: (L, D) where they are in the movie.
        since: (L,) int64 frames since the first one of the window.
        motion: (L, G, D) how far the surroundings of each cell have moved since 1, ..., G frames before, which is taken
            out; or None.
        reach: How far the model attends: places are counted from `corner_of` then; None to leave them where they are.

    Returns:
        (L, D) coordinates.
    """
    if not len(coords):
        return coords
    if motion is not None:
        before = (since - 1).clamp(min=0)[:, None, None].expand(-1, 1, coords.shape[1])
        coords = coords - motion.gather(1, before).squeeze(1) * (since > 0)[:, None]
    return coords if reach is None else coords - corner_of(coords, reach)


def corner_of(coords: Tensor, reach: float) -> Tensor:
    """The lowest coordinates of a window's cells, without strays.

    Cells are parted where no cell lies for more than `reach` along an axis, so that the model attends to none across.
    Parts of fewer than a tenth of the cells of the largest one are strays: a far speck of dirt does not change what a
    model sees of all others. Of two colonies as large both count, so that a cell more or less in one moves no corner.

    Args:
        coords: (L, D), of at least one cell.
        reach: Distance up to which the model attends, in the unit of `coords`.

    Returns:
        (D,) lowest coordinates.

    >>> cells = torch.tensor([[5.0, 4.0], [6.0, 2.0]]).repeat(8, 1)
    >>> corner_of(torch.cat([cells, torch.tensor([[-9000.0, 3.0]])]), 256.0).tolist()
    [5.0, 2.0]
    """
    part, n_parts = torch.zeros(len(coords), dtype=torch.int64, device=coords.device), 1
    while True:
        for axis in range(coords.shape[1]):
            part = _parted(part, coords[:, axis], reach)
        found = int(part.max()) + 1
        if found == n_parts:
            break
        n_parts = found
    if n_parts == 1:
        return coords.amin(dim=0)
    size = torch.bincount(part, minlength=n_parts)
    corners = coords.new_full((n_parts, coords.shape[1]), torch.inf)
    corners = corners.scatter_reduce(0, part[:, None].expand_as(coords), coords, "amin")
    is_stray = size < _STRAYS * size.max()
    return corners.masked_fill(is_stray[:, None], torch.inf).amin(dim=0)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """(..., M, N) between (..., M, D) and (..., N, D) places, by differences.

    By products, as `torch.cdist` takes them of many, they are off by a tenth of a pixel far from 0.
    """
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _parted(part: Tensor, place: Tensor, reach: float) -> Tensor:
    """(L,) parts that are parted again at wide gaps along an axis, numbered from 0 by part, then place."""
    order = torch.argsort(place, stable=True)
    order = order[torch.argsort(part[order], stable=True)]
    starts = (part[order].diff() != 0) | (place[order].diff() > _WIDER * reach)
    numbers = torch.cat([starts.new_zeros(1), starts]).cumsum(0)
    return torch.empty_like(part).scatter(0, order, numbers)
