"""What a transformer's embeddings say of the events of each cell: appearing, disappearing, dividing, being missed."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

EVENTS = ("appear", "disappear", "divide", "missed")
"""Columns of what `EventHeads` returns."""


class EventHeads(nn.Module):
    """Scores of a cell's events from its embeddings: of the cell as a daughter, and as a mother.

    They are added to the scores that the model itself gives the events (0 for the quiet softmax), in nats: appearing,
    disappearing, dividing, and being missed in the next frame, which counts for links over it. A false detection has
    neither mother nor daughter, so that it scores high in appearing and in disappearing. Divisions stay at most at
    minus the score of disappearing, as solvers need. Untrained heads score 0.

    Args:
        d_model: Width of the embeddings.
        width: Of the hidden layer.

    >>> EventHeads(8, 4)(torch.ones(3, 8), torch.ones(3, 8)).shape
    torch.Size([3, 4])
    """

    def __init__(self, d_model: int, width: int = 32) -> None:
        super().__init__()
        self.d_model, self.width = d_model, width
        self.of_daughter, self.of_mother = (
            nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, width), nn.GELU(), _zero(width, n))
            for n in (1, 3)
        )

    def forward(self, mothers: Tensor, daughters: Tensor) -> Tensor:
        """Embeddings (..., d_model) of cells as mothers and as daughters to (..., 4), by `EVENTS`."""
        appear = self.of_daughter(daughters)
        disappear, divide, missed = self.of_mother(mothers).split(1, dim=-1)
        return torch.cat([appear, disappear, torch.minimum(divide, -disappear), missed], dim=-1)


def _zero(n_in: int, n_out: int) -> nn.Linear:
    linear = nn.Linear(n_in, n_out)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


@contextmanager
def captured_embeddings(transformer: Any) -> Iterator[dict[str, Tensor]]:
    """Within it, a forward pass leaves here what its heads get: `mothers` and `daughters`, (B, L, d_model) each.

    Threads may share a model: each finds what its own forward pass leaves.
    """
    found: dict[str, Tensor] = {}
    own = get_ident()

    def keep(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            if get_ident() == own:
                found[name] = given[0]

        return hook

    handles = [
        head.register_forward_pre_hook(keep(name))
        for name, head in (("mothers", transformer.head_x), ("daughters", transformer.head_y))
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class EventAverage:
    """Scores of events, averaged over the windows that can say something of them.

    A cell of a window's first frame has no frame to have a mother in, and one of the last none to have a daughter in.

    Args:
        offsets: (n_frames + 1,) the cells of frame t are offsets[t] to offsets[t + 1] - 1.
        window: Frames of a window.
        like: Tensor of the dtype and on the device of the scores.
    """

    def __init__(
        self, offsets: np.ndarray[tuple[int], np.dtype[np.int64]], window: int, like: Tensor
    ) -> None:
        self._offsets, self._window = offsets, min(window, len(offsets) - 1)
        n = int(offsets[-1])
        self._sum = like.new_zeros(n, len(EVENTS))
        self._count = like.new_zeros(n, len(EVENTS))

    def add(self, start: int, scores: Tensor) -> None:
        """(L, 4) scores of the cells of the window that begins with frame `start`."""
        first, second, last, end = (
            int(self._offsets[t]) for t in (start, start + 1, start + self._window - 1, start + self._window)
        )
        self._sum[second:end, :1] += scores[second - first :, :1]
        self._sum[first:last, 1:] += scores[: last - first, 1:]
        self._count[second:end, :1] += 1
        self._count[first:last, 1:] += 1

    def mean(self, cells: slice = slice(None)) -> Tensor:
        """(n, 4) scores of some cells by `EVENTS`; 0 where no window says anything."""
        return self._sum[cells] / self._count[cells].clamp(min=1)
