"""Frame sources: folders of TIFFs, multi-page TIFFs, numpy and dask arrays, all read one frame at a time."""

import os
import re
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tifffile
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.optional import import_optional

Frame: TypeAlias = NDArray[Any]
FramesLike: TypeAlias = Any
"""A path to a TIFF or to a folder of TIFFs, a numpy or dask array (T, (Z,) Y, X), or a `FrameSource`."""

_TIFF_SUFFIXES = (".tif", ".tiff")


class FrameSource(ABC):
    """A movie's frames, read one at a time, all of the same shape ((Z,) Y, X) and dtype.

    Attributes:
        name: Where the frames come from, for messages.
        n_frames: Number of frames.
        frame_shape: Shape of every frame, (Y, X) or (Z, Y, X).
        dtype: dtype of every frame.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x), where the source states them.
        interval: Seconds from one frame to the next, where the source states it.
    """

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    voxel_size: tuple[float, ...] | None = None
    interval: float | None = None

    @abstractmethod
    def read(self, t: int) -> Frame:
        """Read frame `t` (0-based) into memory."""

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.read(t) for t in range(self.n_frames))

    def strided(self, stride: int) -> "FrameSource":
        """Every `stride`-th frame, starting with the first."""
        if stride < 1:
            raise InputError(f"stride must be at least 1, got {stride}")
        return self.select(range(0, self.n_frames, stride))

    def select(self, frames: range) -> "FrameSource":
        """Some frames, at equal distances, as a source of their own."""
        return self if frames == range(self.n_frames) else SelectedFrames(self, frames)


class SelectedFrames(FrameSource):
    """Some frames of another source."""

    def __init__(self, source: FrameSource, frames: range) -> None:
        self._source, self._frames = source, frames
        self.name, self.frame_shape, self.dtype = source.name, source.frame_shape, source.dtype
        self.n_frames = len(frames)
        self.voxel_size = source.voxel_size
        self.interval = None if source.interval is None else source.interval * frames.step

    def read(self, t: int) -> Frame:
        """Read the `t`-th of the chosen frames."""
        return self._source.read(self._frames[t])


class ArrayFrames(FrameSource):
    """Frames of a numpy or dask array of shape (T, (Z,) Y, X); a dask array is computed frame by frame."""

    def __init__(self, array: Any, name: str = "array") -> None:
        if array.ndim not in (3, 4):
            raise InputError(
                f"{name} has shape {tuple(array.shape)}; expected (T, Y, X) or (T, Z, Y, X), "
                "one channel: select the channel, or add the time axis with array[None]"
            )
        self._array, self.name = array, name
        self.n_frames, self.frame_shape = int(array.shape[0]), tuple(int(n) for n in array.shape[1:])
        self.dtype = np.dtype(array.dtype)

    def read(self, t: int) -> Frame:
        """Read frame `t`."""
        return np.asarray(self._array[t])


class FolderFrames(FrameSource):
    """Frames of a folder that holds one TIFF a frame, in natural order of their names (t9 before t10)."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._files = sorted(
            (file for file in folder.iterdir() if file.suffix.lower() in _TIFF_SUFFIXES and file.is_file()),
            key=lambda file: _natural_key(file.name),
        )
        self.n_frames = len(self._files)
        if not self._files:
            raise InputError(f"{folder} holds no .tif or .tiff file; expected one TIFF a frame")
        headers = [_tiff_header(file) for file in self._files]
        self.frame_shape, self.dtype = headers[0]
        for file, header in zip(self._files, headers, strict=True):
            if header[0] != self.frame_shape:
                raise InputError(
                    f"{file} has shape {header[0]} but {self._files[0].name} has {self.frame_shape}; "
                    "all frames of a movie must have the same shape"
                )
        # Writers may store the frames with few labels in a smaller type: the movie has the widest of them.
        self.dtype = np.result_type(*{dtype for _, dtype in headers})

    def read(self, t: int) -> Frame:
        """Read frame `t` from its file."""
        try:
            with tifffile.TiffFile(self._files[t]) as tif:
                return np.asarray(tif.series[0].asarray()).reshape(self.frame_shape)
        except Exception as error:  # whatever tifffile and its codecs meet in a damaged file
            raise InputError(f"{self._files[t]} cannot be read: {error}") from error


class StackFrames(FrameSource):
    """Frames of one multi-page TIFF of shape (T, (Z,) Y, X), of which only the pages of one frame are read."""

    def __init__(self, file: Path) -> None:
        zarr = import_optional("zarr", "files", "reading a multi-page TIFF")
        self.name = str(file)
        shape, self.dtype = _tiff_header(file)
        if len(shape) not in (3, 4):
            raise InputError(f"{file} has shape {shape}; expected a stack of shape (T, Y, X) or (T, Z, Y, X)")
        self.n_frames, self.frame_shape = shape[0], shape[1:]
        tif = tifffile.TiffFile(file)
        weakref.finalize(self, tif.close)  # parsed once, read page by page, closed with this object
        self._zarr: Any = zarr.open(tif.series[0].aszarr(), mode="r")
        if isinstance(self._zarr, zarr.Group):  # a pyramid: full resolution is the first level
            self._zarr = self._zarr["0"]

    def read(self, t: int) -> Frame:
        """Read the pages of frame `t`."""
        try:
            return np.asarray(self._zarr[t]).reshape(self.frame_shape)
        except Exception as error:  # whatever tifffile and its codecs meet in a damaged file
            raise InputError(f"{self.name} cannot be read at frame {t}: {error}") from error


def open_frames(source: FramesLike, name: str = "array") -> FrameSource:
    """Open images or masks, whatever they are stored in, without reading their pixels.

    Args:
        source: A folder with one TIFF a frame, a multi-page TIFF, or a numpy or dask array of shape
            (T, (Z,) Y, X); a `FrameSource` is passed through.
        name: What to call an array in messages.

    Raises:
        InputError: The path does not exist, is no TIFF, holds colour images or frames of several shapes.

    >>> open_frames(np.zeros((5, 8, 9), np.uint16)).frame_shape
    (8, 9)
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_dir():
            # The ground truth folder of the Cell Tracking Challenge, NAME/01_GT, has its masks in TRA.
            return FolderFrames(path / "TRA" if (path / "TRA").is_dir() else path)
        if path.suffix.lower() not in _TIFF_SUFFIXES:
            raise InputError(f"{path} is no TIFF; expected a .tif or .tiff file or a folder of them")
        return StackFrames(path)
    if hasattr(source, "ndim") and hasattr(source, "dtype"):
        return ArrayFrames(source, name)
    if isinstance(source, list | tuple):
        shapes = {np.shape(frame) for frame in source}
        if len(shapes) > 1:
            raise InputError(f"{name} is a list of frames of several shapes, {sorted(shapes)}; expected one")
        return ArrayFrames(np.asarray(source), name)
    raise InputError(f"{name} is a {type(source).__name__}; expected a path, a numpy array or a dask array")


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which runs of digits compare as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _tiff_header(file: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape without singleton channels, and dtype, of a TIFF's first series; refuses colour.

    Larger channel axes are kept: many 3D movies are stored with their planes as "channels".
    """
    try:
        with tifffile.TiffFile(file) as tif:
            series = tif.series[0]
            axes, shape, dtype = series.axes, series.shape, series.dtype
    except Exception as error:  # whatever tifffile meets in a damaged file
        raise InputError(f"{file} cannot be read as a TIFF: {error}") from error
    if dtype is None:
        raise InputError(f"{file} has pixels of no single type; expected one integer or float type")
    if "S" in axes and shape[axes.index("S")] > 1:
        raise InputError(
            f"{file} has {shape[axes.index('S')]} colour channels (axes {axes}, shape {shape}); "
            "expected one: select the channel to track on"
        )
    kept = tuple(int(size) for axis, size in zip(axes, shape, strict=True) if axis not in "SC" or size > 1)
    return kept, np.dtype(dtype)
