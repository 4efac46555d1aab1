"""A training window: the cells of a few consecutive frames and the true mother of each."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.detections import FEATURES
from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class Window:
    """N cells of consecutive frames, sorted by frame.

    Attributes:
        frame: (N,) int64, counted from 0 in the window.
        coords: (N, D) float32, pixels.
        features: (N, F) float32, the columns of `torchtrack_uq.detections.FEATURES` in that order.
        mother: (N,) int64, index of the true mother in the window, -1 for null.
        has_target: (N,) bool: False where the true mother is not known or not in the window.
        has_images: Whether intensities were measured.
    """

    frame: NDArray[np.int64]
    coords: NDArray[np.float32]
    features: NDArray[np.float32]
    mother: NDArray[np.int64]
    has_target: NDArray[np.bool_]
    has_images: bool = False

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of_movie(cls, movie: AnnotatedMovie) -> "Window":
        """All cells of a movie as one window.

        Raises:
            InputError: The movie's detections lack a feature that Trackastra's models use.
        """
        cells = movie.detections
        if missing := [name for name in FEATURES if name not in cells.features]:
            raise InputError(f"{movie.name} has no {', '.join(missing)}: training needs a movie with masks")
        stacked = np.concatenate([cells.features[name] for name in FEATURES], axis=1)
        return cls(cells.frame, cells.coords, stacked, movie.mother, movie.has_target, cells.has_images)

    def replace(self, **changes: Any) -> "Window":
        """A copy with other values in some fields."""
        return replace(self, **changes)

    def subset(self, where: NDArray[np.int64]) -> "Window":
        """The cells at ascending indices; daughters whose mother is left out lose their target."""
        new_index = np.full(len(self), -1, dtype=np.int64)
        new_index[where] = np.arange(len(where))
        mother = self.mother[where]
        kept_mother = np.where(mother >= 0, new_index[mother], -1)
        lost = (mother >= 0) & (kept_mother < 0)
        return Window(
            frame=self.frame[where],
            coords=self.coords[where],
            features=self.features[where],
            mother=kept_mother,
            has_target=self.has_target[where] & ~lost,
            has_images=self.has_images,
        )
