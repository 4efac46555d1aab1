"""Detections: every cell of a movie, with where and when it is and what it looks like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.measuring import FEATURES, measure_columns
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.naming import Naming
from torchtrack_uq.movies.scale import aspect, check_scale
from torchtrack_uq.utils.crew import Crew

__all__ = ["FEATURES", "Detections"]
_OURS = Naming()
_FARTHEST = 1e15
"""Squares of distances still fit into single precision."""
_IN_ORDER = np.array([-1], dtype=np.int64)


@dataclass(frozen=True, repr=False)
class Detections:
    """All N cells of a movie, sorted by frame and, within a frame, by label.

    Attributes:
        frame: (N,) int64, frame of each cell, counted in the (subsampled) movie from 0.
        label: (N,) int64, its label in that frame's mask.
        coords: (N, D) float64, centroid in pixels, (y, x) or (z, y, x): far from 0 single precision would round it.
        n_frames: Number of frames, those without cells included.
        features: Further columns by name, each (N, k) float32.
        has_images: Whether intensities were measured (they are 0 otherwise).
        stride: Frame t here is frame t * stride of the recording.
        field_shape: Shape of a frame, (Y, X) or (Z, Y, X); None for points, of which nobody knows where the field ends.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x); None where nobody knows.
        interval: Seconds between frames; None where nobody knows.
        naming: What the user calls frames and cells, where that is not `frame` and `label`.
        row: (N,) int64, row of the table that each cell came from; 0, 1, 2, ... where that was sorted already.
    """

    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    coords: NDArray[np.float64]
    n_frames: int
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    has_images: bool = False
    stride: int = 1
    row: NDArray[np.int64] = field(default_factory=lambda: _IN_ORDER)
    field_shape: tuple[int, ...] | None = None
    voxel_size: tuple[float, ...] | None = None
    interval: float | None = None
    naming: Naming = _OURS

    def __post_init__(self) -> None:
        n = len(self.frame)
        if self.coords.dtype.kind in "fiu":  # what is no real number is refused as what it is
            object.__setattr__(self, "coords", self.coords.astype(np.float64, copy=False))
        if self.row is _IN_ORDER:
            object.__setattr__(self, "row", np.arange(n))
        if self.row.shape != (n,):
            raise InputError(f"row has shape {self.row.shape}; expected one row number a cell, ({n},)")
        if self.label.shape != (n,) or self.coords.ndim != 2 or len(self.coords) != n:
            raise InputError(
                f"detections need one label and one centroid a cell: got {n} frames, "
                f"{self.label.shape} labels and {self.coords.shape} coordinates"
            )
        if self.naming.names is not None and self.naming.names.shape != (n,):
            raise InputError(f"names have shape {self.naming.names.shape}; expected one a cell, ({n},)")
        check_scale(self.voxel_size, self.interval, self.ndim)
        for name, values in self.features.items():
            if values.ndim != 2 or len(values) != n:
                raise InputError(f"feature {name!r} has shape {values.shape}; expected ({n}, k)")
        if self.field_shape is not None and len(self.field_shape) != self.ndim:
            raise InputError(f"field_shape is {self.field_shape} but coordinates have {self.ndim} dimensions")
        if n and self.frame.min() < 0:
            raise InputError(f"frames count from 0, but there are detections in frame {self.frame.min()}")
        if n and self.frame.max() >= self.n_frames:
            raise InputError(
                f"detections lie in frames {self.frame.min()} to {self.frame.max()} "
                f"but the movie has {self.n_frames} frames"
            )
        if n and not np.isfinite(self.coords).all():
            raise InputError("coordinates of detections must be finite, got NaN or infinity")
        if n and (farthest := np.abs(self.coords).max()) > _FARTHEST:
            raise InputError(
                f"coordinates of detections reach {farthest:.3g}; expected pixels, at most {_FARTHEST:g}"
            )
        order = np.lexsort((self.label, self.frame))
        if not np.array_equal(order, np.arange(n)):
            raise InputError("detections must be sorted by frame, then label")
        repeated = (np.diff(self.frame) == 0) & (np.diff(self.label) == 0)
        if repeated.any():
            i = int(np.flatnonzero(repeated)[0])
            raise InputError(f"label {self.label[i]} stands twice in frame {self.frame[i]}")

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"Detections({len(self)} cells, {self.n_frames} frames, {self.ndim}D, features {list(self.features)})"

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions, 2 or 3."""
        return int(self.coords.shape[1])

    @property
    def aspect(self) -> NDArray[np.float64]:
        """(D,) edge lengths of a voxel in units of its edge along x, see `torchtrack_uq.movies.scale.aspect`."""
        return aspect(self.voxel_size, self.ndim)

    @cached_property
    def isotropic_coords(self) -> NDArray[np.float64]:
        """(N, D) centroids in pixels of x along every axis: what distances are measured between."""
        return self.coords * self.aspect

    @property
    def frame_number(self) -> NDArray[np.int64]:
        """(N,) int64, the user's own number of each cell's frame, as outputs have it."""
        return self.naming.frames(self.frame)

    @property
    def name(self) -> NDArray[Any]:
        """(N,) what the user calls each cell, as outputs have it: its label, or a number or text of the user's own."""
        return self.label if self.naming.names is None else self.naming.names

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(n_frames + 1,): the cells of frame t are offsets[t] to offsets[t + 1] - 1."""
        return np.searchsorted(self.frame, np.arange(self.n_frames + 1)).astype(np.int64)

    def in_frame(self, t: int) -> slice:
        """The cells of frame `t`."""
        return slice(int(self.offsets[t]), int(self.offsets[t + 1]))

    @cached_property
    def by_name(self) -> dict[tuple[int, Any], int]:
        """Index of each cell by frame and name, as outputs have them (`frame_number`, `name`)."""
        keys = zip(self.frame_number.tolist(), self.name.tolist(), strict=True)
        return {key: i for i, key in enumerate(keys)}

    def find(self, frame: ArrayLike, label: ArrayLike) -> NDArray[np.int64]:
        """Indices of cells that are known by frame and label, such as those that a person has looked at in a viewer.

        Args:
            frame: Integers, a frame each, as outputs number them (`frame_number`).
            label: Integers of the same shape (or one of the two a single number), the label in that frame's mask, or
                what the user calls the cell (`name`).

        Returns:
            int64 of their common shape, as `confirm` and `forbid` take them.

        Raises:
            InputError: There is no such cell.

        >>> cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)), label=np.array([7, 3, 9]))
        >>> cells.find(1, [9, 3])
        array([2, 1])
        """
        frames, labels = np.broadcast_arrays(frame, label)
        wanted = [np.asarray(frames)] + ([np.asarray(labels)] if self.name.dtype.kind == "i" else [])
        if any(values.size and values.dtype.kind not in "iu" for values in wanted):
            raise InputError(
                f"frames and labels must be integers, got {', '.join(str(v.dtype) for v in wanted)}"
            )
        pairs = list(zip(frames.ravel().tolist(), labels.ravel().tolist(), strict=True))
        of_frame = {frame: self._named(frame) for frame in {frame for frame, _ in pairs}}
        found = [of_frame[frame].get(label, -1) for frame, label in pairs]
        missing = [pair for pair, cell in zip(pairs, found, strict=True) if cell < 0]
        if missing:
            raise InputError(
                f"there is no cell with label {missing[0][1]} in frame {missing[0][0]}"
                + (f", nor {len(missing) - 1} others" if len(missing) > 1 else "")
            )
        return np.array(found, dtype=np.int64).reshape(frames.shape)

    def _named(self, number: int) -> dict[Any, int]:
        """Index of each cell of a frame, as users number it, by name; none where there is no such frame."""
        t, between = divmod(number - self.naming.first_frame, self.naming.frame_step)
        if between or not 0 <= t < self.n_frames:
            return {}
        cells = self.in_frame(int(t))
        return dict(zip(self.name[cells].tolist(), range(cells.start, cells.stop), strict=True))

    def cell_of_row(self, row: ArrayLike) -> NDArray[np.int64]:
        """Indices of cells that are known by their row in the table that they came from.

        For links that are given by row, when the table was sorted by `from_points(..., sort=True)`.

        Args:
            row: Integers of any shape, counted from 0.

        Returns:
            int64 of the same shape, as `CandidateGraph.from_links` takes them.

        Raises:
            InputError: No cell came from that row.

        >>> cells = Detections.from_points(np.array([1, 0]), np.zeros((2, 2)), sort=True)
        >>> cells.cell_of_row([0, 1])  # the table's first row is the second cell
        array([1, 0])
        """
        wanted = np.asarray(row)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer):
            raise InputError(f"row numbers must be integers, got {wanted.dtype}")
        order = np.argsort(self.row, kind="stable")
        place = np.searchsorted(self.row[order], wanted.ravel())
        missing = ~np.isin(wanted, self.row)
        if missing.any():
            raise InputError(f"there is no cell of row {wanted[missing][0]} of the table")
        return order[place].astype(np.int64).reshape(wanted.shape)

    @classmethod
    def from_movie(cls, movie: Movie, *, crew: Crew | None = None, progress: bool = True) -> "Detections":
        """Measure every cell of a movie in one pass over its frames.

        Where its voxel size is known and voxels are no cubes, sizes and shapes are those in space (`measure_frame`).

        Args:
            movie: Masks and perhaps images.
            crew: Who measures, see `torchtrack_uq.utils.crew`; this process by default. The numbers are the same.
            progress: Whether to show a progress bar.

        Raises:
            InputError: No frame holds a cell, or a frame cannot be used.
        """
        return cls(
            **measure_columns(movie, crew, progress=progress),
            n_frames=movie.n_frames,
            has_images=movie.images is not None,
            stride=movie.stride,
            field_shape=tuple(movie.frame_shape),
            voxel_size=movie.voxel_size,
            interval=movie.interval,
        )

    @classmethod
    def from_points(
        cls,
        frame: NDArray[np.integer],
        coords: NDArray[np.floating],
        label: NDArray[np.integer] | None = None,
        n_frames: int | None = None,
        *,
        sort: bool = False,
        voxel_size: tuple[float, ...] | None = None,
        interval: float | None = None,
    ) -> "Detections":
        """Detections from a table of points, one row a cell, sorted by frame and within a frame by label.

        Cells are numbered as they are sorted, and links name cells by number. A table in another order is therefore
        refused, unless `sort=True` says that the numbers may differ: row k is then cell `cell_of_row(k)`.

        Args:
            frame: (N,) integers from 0 on.
            coords: (N, D) numbers, (y, x) or (z, y, x).
            label: (N,) integers; by default 1, 2, ... within each frame, in the order of the rows.
            n_frames: Number of frames; by default up to the last one with a cell.
            sort: Whether to sort rows that are not sorted.
            voxel_size: What a step of 1 is in micrometres along ((z,) y, x), where that is known.
            interval: Seconds between frames, where that is known.

        Raises:
            InputError: Rows that are not sorted, lengths that differ, a label twice in a frame, NaN.

        >>> cells = Detections.from_points(np.array([1, 0]), np.array([[5.0, 5.0], [4.0, 4.0]]), sort=True)
        >>> cells.frame, cells.row
        (array([0, 1]), array([1, 0]))
        """
        frames = _whole("frame", frame)
        keys = [frames] if label is None else [_whole("label", label), frames]
        if any(key.shape != (len(coords),) for key in keys):
            raise InputError(
                f"a table of points needs one frame and one label a row: got {', '.join(str(k.shape) for k in keys)} "
                f"for {len(coords)} rows of coordinates"
            )
        order = np.lexsort(keys).astype(np.int64)
        moved = np.flatnonzero(order != np.arange(len(order)))
        if len(moved) and not sort:
            raise InputError(
                f"rows are not sorted by frame{'' if label is None else ' and label'} (from row {moved[0]} on), so "
                "that row numbers would not be cell numbers: sort the table, or pass sort=True and translate the row "
                "numbers that links are given by with cell_of_row"
            )
        frames = frames[order]
        labels = (
            np.arange(len(order)) - np.searchsorted(frames, frames) + 1 if label is None else keys[0][order]
        )
        return cls(
            frame=frames,
            label=labels.astype(np.int64),
            coords=np.asarray(coords, dtype=np.float64)[order],
            n_frames=int(frames.max(initial=-1)) + 1 if n_frames is None else n_frames,
            row=order,
            voxel_size=voxel_size,
            interval=interval,
        )


def _whole(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers as int64, also where they come as floats, as tables without some of them do."""
    found = np.asarray(values)
    if found.size and not (np.issubdtype(found.dtype, np.integer) or np.issubdtype(found.dtype, np.floating)):
        raise InputError(f"{name} holds {found.dtype}; expected integers")
    if found.size and not (found == np.floor(found)).all():
        k = int(np.flatnonzero(found != np.floor(found))[0])
        raise InputError(f"{name} of row {k} is {found.flat[k]}; expected integers")
    return found.astype(np.int64)
