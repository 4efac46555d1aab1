"""A movie's cells as a transformer's tokens on a device, and the windows of them that it sees."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.common_motion import motion_since
from torchtrack_uq.trackers.trackastra.places import places_in_window
from torchtrack_uq.trackers.trackastra.tokens import as_model_sees_it
from torchtrack_uq.trackers.trackastra.view import ModelView


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
        find_motion: Gives `motion` when it is first asked for, which takes a while; or None.
    """

    time: Tensor
    coords: Tensor
    features: Tensor | None
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]]
    from_corner: bool = True
    find_motion: Callable[[], Tensor] | None = None
    reach: float = math.inf

    @cached_property
    def motion(self) -> Tensor | None:
        """(N, G, D) how far the surroundings of each cell have moved since 1, ..., G frames before, or None.

        It is taken out of windows.
        """
        return None if self.find_motion is None else self.find_motion()

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
        features = None
        if config["feat_dim"] > 0:  # in the order of Trackastra's `wrfeat`
            stacked = np.concatenate(list(seen.features.values()), axis=-1)
            features = torch.from_numpy(stacked).to(device)
        places = seen.coords
        if from_corner and len(places):  # near 0 single precision is finer, and a stray cell moves no median
            places = places - np.median(places, axis=0)
        find_motion = None
        if view.without_common_motion:
            find_motion = partial(_motion_in_windows, seen, config["window"], device)
        return cls(
            time=torch.from_numpy(seen.frame).to(device),
            coords=torch.from_numpy(places.astype(np.float32)).to(device),
            features=features,
            offsets=seen.offsets,
            from_corner=from_corner,
            find_motion=find_motion,
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


def _motion_in_windows(detections: Detections, window: int, device: torch.device) -> Tensor:
    since = motion_since(detections.offsets, detections.isotropic_coords, window - 1)
    return torch.from_numpy(since.astype(np.float32)).to(device)
