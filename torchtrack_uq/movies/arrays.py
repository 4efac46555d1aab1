"""Frames of one array with a time axis: numpy, dask, zarr, a multi-page TIFF; a frame is read when it is asked for."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.axes import ARRAY, ArrayHeader, lay_out, unstated_axes
from torchtrack_uq.movies.options import ReadOptions
from torchtrack_uq.movies.source import Frame, FrameSource, Reading
from torchtrack_uq.movies.tiff_chain import check_page_chain
from torchtrack_uq.movies.tiff_header import tiff_header
from torchtrack_uq.utils.optional import import_optional


class ArrayFrames(FrameSource):
    """Frames of an array that can be indexed, of which only one frame is read at a time.

    Args:
        array: A numpy, dask or zarr array, or anything with `shape`, `dtype` and basic indexing.
        name: What to call it in messages.
        header: What is known of it; without it, it is (T, (Z,) Y, X).
        options: What a person said of it.

    Raises:
        InputError: See `lay_out`.
    """

    def __init__(
        self,
        array: Any,
        name: str = "array",
        header: ArrayHeader | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        options = options or ReadOptions()
        if header is None:
            header = plain_header(array, name, options)
        self._layout = lay_out(header, name, options, one_frame=False)
        self._array, self.name, self.dtype = array, name, header.dtype
        self.n_frames, self.frame_shape = self._layout.n_frames, self._layout.frame_shape
        self.voxel_size, self.interval = self._layout.voxel_size, self._layout.interval
        self.reading = Reading(
            format=header.format,
            axes=self._layout.axes,
            channels=self._layout.channels,
            channel=self._layout.channel,
            notes=self._layout.notes,
            options=options,
        )

    def read(self, t: int) -> Frame:
        """Read frame `t`."""
        if self.reading.format == ARRAY:
            return self._layout.take(self._array, t)
        try:
            return self._layout.take(self._array, t)
        except Exception as error:  # whatever a file's library and codecs meet in a damaged file
            raise InputError(f"{self.name} cannot be read at frame {t}: {error}") from error


class StackFrames(ArrayFrames):
    """Frames of one multi-page TIFF, of which only the pages of one frame are read."""

    def __init__(self, file: Path, options: ReadOptions | None = None) -> None:
        options = options or ReadOptions()
        zarr = import_optional("zarr", "files", "reading a multi-page TIFF")
        try:
            check_page_chain(file)
            tif = tifffile.TiffFile(file)
        except InputError:
            raise
        except Exception as error:  # whatever tifffile meets in a damaged file
            raise InputError(f"{file} cannot be read as a TIFF: {error}") from error
        weakref.finalize(self, tif.close)  # parsed once, read page by page, closed with this object
        try:
            header = tiff_header(tif, file, options.scene)
            array: Any = zarr.open(tif.series[(options.scene or 1) - 1].aszarr(), mode="r")
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{file} cannot be read as a TIFF: {error}") from error
        if isinstance(array, zarr.Group):  # a pyramid: full resolution is the first level
            array = array["0"]
        super().__init__(array, str(file), header, options)
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the file anew."""
        return StackFrames, (self._file, self.reading.options)


def plain_header(array: Any, name: str, options: ReadOptions) -> ArrayHeader:
    """The header of an array that says nothing but its shape and dtype."""
    if any(size != size for size in array.shape):  # NaN, of dask where lengths hang on values
        raise InputError(f"{name} does not know its own shape; call compute_chunk_sizes() on it before")
    shape = tuple(int(size) for size in array.shape)
    if len(shape) < 3 and options.axes is None:
        raise InputError(
            f"{name} has shape {shape}; expected (T, Y, X) or (T, Z, Y, X): add the time axis with array[None]"
        )
    return ArrayHeader(unstated_axes(len(shape)), shape, np.dtype(array.dtype))
