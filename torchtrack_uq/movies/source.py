"""What every source of frames has in common, and what is known of how its frames were read."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.options import ReadOptions

Frame: TypeAlias = NDArray[Any]
FramesLike: TypeAlias = Any
"""What `open_frames` opens: a path, a numpy, dask or zarr array (T, (Z,) Y, X), or a `FrameSource`."""


@dataclass(frozen=True)
class Reading:
    """How frames were read: said to people, and needed to see whether images and masks belong together.

    Attributes:
        format: What the frames are stored in, such as "OME-TIFF".
        axes: Axes as they were taken, such as "ZTYX"; of one file where each frame has its own.
        channels: Names of all channels; empty where there is one without a name.
        channel: Which of them was taken, from 0.
        files: Paths of the frames' files, where each has its own.
        numbers: Number of each frame by the names of its files; empty where there are none.
        missing: Numbers that no file has, each an empty frame or left out.
        notes: Sentences about what the source did not state and how it was taken.
        options: What a person said of it, with which the same source opens the same way again.
    """

    format: str = "array"
    axes: str = ""
    channels: tuple[str, ...] = ()
    channel: int = 0
    files: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    options: ReadOptions = field(default_factory=ReadOptions)


class FrameSource(ABC):
    """A movie's frames, read one at a time, all of the same shape ((Z,) Y, X) and dtype.

    Attributes:
        name: Where the frames come from, for messages.
        n_frames: Number of frames.
        frame_shape: Shape of every frame, (Y, X) or (Z, Y, X).
        dtype: dtype of every frame.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x), where the source states them.
        interval: Seconds from one frame to the next, where the source states it.
        reading: How the frames were read.
    """

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    voxel_size: tuple[float, ...] | None = None
    interval: float | None = None
    reading: Reading = Reading()

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
        self.voxel_size, self.reading = source.voxel_size, source.reading
        self.interval = None if source.interval is None else source.interval * frames.step

    def read(self, t: int) -> Frame:
        """Read the `t`-th of the chosen frames."""
        return self._source.read(self._frames[t])
