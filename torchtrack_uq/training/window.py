"""A training window: the cells of a few consecutive frames and the true mother of each."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import FEATURES
from torchtrack_uq.trackers.common_motion import motion_since
from torchtrack_uq.trackers.trackastra.tokens import seen_by
from torchtrack_uq.trackers.trackastra.view import ModelView

_ALL: NDArray[np.bool_] = np.ones(0, dtype=bool)  # stands for as many as there are cells
_NO_INDEX: NDArray[np.int64] = np.zeros((0, 0), dtype=np.int64)
_NOT_KNOWN: NDArray[np.bool_] = np.zeros((0, 0), dtype=bool)


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
        earlier: (N, G) int64, index of the cell's ancestor 2, ..., G + 1 frames before, -1 for none.
        earlier_known: (N, G) bool: False where that is not known, or the ancestor is not in the window.
    """

    frame: NDArray[np.int64]
    coords: NDArray[np.float32]
    features: NDArray[np.float32]
    mother: NDArray[np.int64]
    has_target: NDArray[np.bool_]
    has_images: bool = False
    mother_known: NDArray[np.bool_] = field(default_factory=lambda: _ALL)
    earlier: NDArray[np.int64] = field(default_factory=lambda: _NO_INDEX)
    earlier_known: NDArray[np.bool_] = field(default_factory=lambda: _NOT_KNOWN)

    def __post_init__(self) -> None:
        if self.mother_known is _ALL:
            object.__setattr__(self, "mother_known", np.ones(len(self.frame), dtype=bool))
        if self.earlier is _NO_INDEX:
            object.__setattr__(self, "earlier", np.full((len(self.frame), 0), -1, dtype=np.int64))
        if self.earlier_known is _NOT_KNOWN:
            object.__setattr__(self, "earlier_known", np.zeros(self.earlier.shape, dtype=bool))

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of_movie(cls, movie: AnnotatedMovie, view: ModelView | None = None, *, max_gap: int = 1) -> "Window":
        """All cells of a movie as one window.

        Args:
            movie: An annotated movie.
            view: How the model sees movies; by default as they are measured, in voxels.
            max_gap: How many frames before a cell its `earlier` ancestors are given.

        Raises:
            InputError: The movie's detections lack a feature that Trackastra's models use.
        """
        cells = seen_by(view or ModelView(), movie.detections)
        if missing := [name for name in FEATURES if name not in cells.features]:
            raise InputError(f"{movie.name} has no {', '.join(missing)}: training needs a movie with masks")
        places = cells.coords
        if view is not None and view.usual is not None and len(cells):  # near 0 single precision is finer
            places = places - places.min(axis=0)
        stacked = np.concatenate([cells.features[name] for name in FEATURES], axis=1)
        known = movie.daughters_known
        gaps = range(2, max_gap + 1)
        earlier = [movie.ancestor(gap) for gap in gaps]
        in_reach = [movie.has_target & (cells.frame >= gap) for gap in gaps]
        return cls(
            cells.frame,
            places.astype(np.float32),
            stacked,
            movie.mother,
            movie.has_target,
            cells.has_images,
            known,
            _columns(earlier, len(cells), np.int64),
            _columns(in_reach, len(cells), np.bool_),
        )

    def replace(self, **changes: Any) -> "Window":
        """A copy with other values in some fields."""
        return replace(self, **changes)

    def without_common_motion(self) -> "Window":
        """With coordinates as if the surroundings of each cell had stayed where they are in the first frame."""
        offsets = np.searchsorted(self.frame, np.arange(int(self.frame.max(initial=0)) + 2)).astype(np.int64)
        reach = max(len(offsets) - 2, 1)
        motion = motion_since(offsets, self.coords.astype(np.float64), reach)
        moved = motion[np.arange(len(self)), np.maximum(self.frame - 1, 0)] * (self.frame > 0)[:, None]
        return self.replace(coords=(self.coords - moved).astype(np.float32))

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
        kept_earlier = np.where(self.earlier[where] >= 0, new_index[self.earlier[where]], -1)
        lost_earlier = (self.earlier[where] >= 0) & (kept_earlier < 0)
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
            earlier=kept_earlier,
            earlier_known=self.earlier_known[where] & ~lost_earlier,
        )


def _columns(columns: list[NDArray[Any]], n: int, dtype: type) -> NDArray[Any]:
    return np.stack(columns, axis=1) if columns else np.zeros((n, 0), dtype=dtype)
