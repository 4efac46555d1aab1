"""Which axis of a stored array is time, which are planes, rows and columns, and which is the channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.channels import choose_channel
from torchtrack_uq.movies.options import ReadOptions
from torchtrack_uq.movies.source import Frame
from torchtrack_uq.movies.stated_axes import axes_as_taken

ARRAY = "array"
"""Format of what has no file, for which the order (T, (Z,) Y, X) is documented."""
_COLOURS = ("red", "green", "blue", "alpha")


@dataclass(frozen=True)
class ArrayHeader:
    """What is known of a stored array before any of its pixels is read.

    Attributes:
        axes: One letter a dimension: T, Z, C, S (colours), Y, X; Q where nothing says what it is.
        shape: Its shape.
        dtype: Its dtype.
        format: What it is stored in.
        channels: Names of its channels, where stated.
        edges: Edge lengths of a voxel in micrometres, by the letter of the axis, where stated.
        interval: Seconds between frames, where stated.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    format: str = ARRAY
    channels: tuple[str, ...] = ()
    edges: Mapping[str, float] = field(default_factory=dict)
    interval: float | None = None

    def size(self, axis: str) -> int:
        """Length along an axis, 1 where there is none."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1


def unstated_axes(ndim: int) -> str:
    """Axes of an array that states none: rows and columns last, and before them nobody knows.

    >>> unstated_axes(4), unstated_axes(2)
    ('QQYX', 'YX')
    """
    return "Q" * (ndim - 2) + "YX"[max(2 - ndim, 0) :]


@dataclass(frozen=True)
class Layout:
    """How to take frames out of a stored array.

    Attributes:
        axes: The array's axes as they are taken.
        n_frames: Length along time; 1 without it.
        frame_axes: "YX" or "ZYX".
        frame_shape: Shape of a frame in that order.
        channel: Which channel is taken, from 0.
        channels: Names of all of them; "" where only their number is known.
        voxel_size: Edge lengths in micrometres in the order of `frame_axes`; None unless all are stated.
        interval: Seconds between frames, where stated.
        notes: What was not stated and how it was taken.
    """

    axes: str
    n_frames: int
    frame_axes: str
    frame_shape: tuple[int, ...]
    channel: int
    channels: tuple[str, ...]
    voxel_size: tuple[float, ...] | None
    interval: float | None
    notes: tuple[str, ...]

    def take(self, array: Any, t: int = 0) -> Frame:
        """Frame `t`; of a lazy array, nothing else is read."""
        chosen = {"T": t, "C": self.channel, "S": self.channel}
        index = tuple(
            slice(None) if axis in self.frame_axes else chosen.get(axis, 0)
            for axis in self.axes  # axes that are not of a frame and not chosen have length 1
        )
        stored = "".join(axis for axis in self.axes if axis in self.frame_axes)
        frame = np.asarray(array[index])
        return np.transpose(frame, [stored.index(axis) for axis in self.frame_axes])


def lay_out(header: ArrayHeader, name: str, options: ReadOptions, *, one_frame: bool) -> Layout:
    """Find time, planes and the channel in a stored array.

    Args:
        header: What is known of it.
        name: What to call it in messages.
        options: What a person said of it.
        one_frame: Whether it is one frame of a movie; else it is the whole movie.

    Raises:
        InputError: No time where there must be one, several frames where there may be one, several channels of which
            none is chosen, or axes that nobody can name.

    >>> ztyx = ArrayHeader("ZTYX", (3, 5, 8, 9), np.dtype(np.uint8), "OME-TIFF", edges={"Y": 0.2, "X": 0.2, "Z": 1.0})
    >>> layout = lay_out(ztyx, "movie.ome.tif", ReadOptions(), one_frame=False)
    >>> layout.n_frames, layout.frame_shape, layout.voxel_size
    (5, (3, 8, 9), (1.0, 0.2, 0.2))
    """
    axes, notes = axes_as_taken(
        header.axes,
        header.shape,
        header.format,
        name,
        options,
        one_frame=one_frame,
        plain=header.format == ARRAY,
    )
    sizes = dict(zip(axes, header.shape, strict=True))
    n_frames = sizes.get("T", 1)
    if one_frame and n_frames > 1:
        raise InputError(
            f"{name} is a movie of {n_frames} frames (axes {axes}), one of several files in its folder; expected one "
            "frame a file: give one of the files, or one file a frame"
        )
    colour = "S" if sizes.get("S", 1) > 1 else "C"
    names = header.channels
    if colour == "S" and not names:
        names = _COLOURS[: sizes["S"]]
    n_channels = sizes.get(colour, 1)
    if sizes.get("S", 1) > 1 and sizes.get("C", 1) > 1:
        raise InputError(
            f"{name} has both {sizes['C']} channels and {sizes['S']} colours (axes {axes}); expected one channel"
        )
    channel = choose_channel(n_channels, names, options, name, colours=colour == "S")
    planes = "Z" in sizes and (sizes["Z"] > 1 or header.format == ARRAY)
    frame_axes = "ZYX" if planes else "YX"
    edges = [header.edges.get(axis) if header.axes[axes.index(axis)] == axis else None for axis in frame_axes]
    known = tuple(edge for edge in edges if edge is not None)
    if known and len(known) < len(edges):
        lost = ", ".join(axis.lower() for axis, edge in zip(frame_axes, edges, strict=True) if edge is None)
        notes += (f"how large voxels are along {lost} is not stated (--voxel-size)",)
    timed = one_frame or ("T" in axes and header.axes[axes.index("T")] == "T")
    return Layout(
        axes=axes,
        n_frames=n_frames,
        frame_axes=frame_axes,
        frame_shape=tuple(sizes[axis] for axis in frame_axes),
        channel=channel,
        channels=names if names or n_channels == 1 else ("",) * n_channels,
        voxel_size=known if len(known) == len(edges) else None,
        interval=header.interval if timed else None,
        notes=notes,
    )
