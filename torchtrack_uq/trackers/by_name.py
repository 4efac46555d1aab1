"""A tracker that was asked for by name, made when the dimensions of the movie are known."""

import torch

from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.trackers.registry import make_tracker


class TrackerByName:
    """Makes the tracker for movies in 2D and in 3D, which need not be the same, each once.

    Args:
        name: One of `TRACKERS`.
        device: Where it computes, if it uses one.
        max_gap: As for `make_tracker`.

    >>> overlap = TrackerByName("overlap")
    >>> overlap(2).name, overlap(2) is overlap(2)
    ('overlap', True)
    """

    def __init__(
        self, name: str, device: str | torch.device | None = None, max_gap: int | None = None
    ) -> None:
        self.name, self._device, self._max_gap = name, device, max_gap
        self._made: dict[int, Tracker] = {}

    def __call__(self, ndim: int) -> Tracker:
        """The tracker for movies of so many dimensions in space.

        Raises:
            InputError: As from `make_tracker`.
        """
        if ndim not in self._made:
            self._made[ndim] = make_tracker(self.name, self._device, max_gap=self._max_gap, ndim=ndim)
        return self._made[ndim]
