"""A training window: the cells of a few consecutive frames and the true mother of each."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import FEATURES
from torchtrack_uq.movies.scale import is_isotropic
from torchtrack_uq.trackers.trackastra.tokens import in_voxels

_ALL: NDArray[np.bool_] = np.ones(0, dtype=bool)  # stands for as many as there are cells


@dataclass(frozen=True)
class Window:
    """N cells of consecutive frames, sorted by frame.

    Attributes:
        frame: (N,) int64, counted from 0 in the window.
        coords: (N, D) float32, pixels; where voxels are no cubes, voxels, as models see them (`as_model_sees_it`).
        features: (N, F) float32, the columns of `torchtrack_uq.movies.detections.FEATURES` in that order.
        mother: (N,) int64, index of the true mother in the window, -1 for null.
        has_target: (N,) bool: False where the true mother is not known or not in the window.
        has_images: Whether intensities were measured.
        mother_known: (N,) bool: False where some daughter of the cell may be missing from the window, so that
            it is not known whether it disappeared or divided. All are known by default.
    """

    frame: NDArray[np.int64]
    coords: NDArray[np.float32]
    features: NDArray[np.float32]
    mother: NDArray[np.int64]
    has_target: NDArray[np.bool_]
    has_images: bool = False
    mother_known: NDArray[np.bool_] = field(default_factory=lambda: _ALL)

    def __post_init__(self) -> None:
        if self.mother_known is _ALL:
            object.__setattr__(self, "mother_known", np.ones(len(self.frame), dtype=bool))

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of_movie(cls, movie: AnnotatedMovie) -> "Window":
        """All cells of a movie as one window.

        Raises:
            InputError: The movie's detections lack a feature that Trackastra's models use.
        """
        cells = movie.detections
        if not is_isotropic(cells.voxel_size):
            cells = in_voxels(cells)
        if missing := [name for name in FEATURES if name not in cells.features]:
            raise InputError(f"{movie.name} has no {', '.join(missing)}: training needs a movie with masks")
        stacked = np.concatenate([cells.features[name] for name in FEATURES], axis=1)
        known = movie.daughters_known
        return cls(
            cells.frame, cells.coords, stacked, movie.mother, movie.has_target, cells.has_images, known
        )

    def replace(self, **changes: Any) -> "Window":
        """A copy with other values in some fields."""
        return replace(self, **changes)

    def subset(self, where: NDArray[np.int64]) -> "Window":
        """The cells at ascending indices; daughters whose mother is left out lose their target.

        It is then no longer known how many daughters those mothers have of which one is left out.
        """
        new_index = np.full(len(self), -1, dtype=np.int64)
        new_index[where] = np.arange(len(where))
        mother = self.mother[where]
        kept_mother = np.where(mother >= 0, new_index[mother], -1)
        lost = (mother >= 0) & (kept_mother < 0)
        bereft = np.delete(self.mother, where)
        mother_known = self.mother_known.copy()
        mother_known[bereft[bereft >= 0]] = False
        return Window(
            frame=self.frame[where],
            coords=self.coords[where],
            features=self.features[where],
            mother=kept_mother,
            has_target=self.has_target[where] & ~lost,
            has_images=self.has_images,
            mother_known=mother_known[where],
        )
