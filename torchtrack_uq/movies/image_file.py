"""One frame in one file: TIFF, PNG, a numpy array, or Cellpose's `_seg.npy`."""

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.axes import ArrayHeader, unstated_axes
from torchtrack_uq.movies.cellpose_seg import read_seg
from torchtrack_uq.movies.options import ReadOptions
from torchtrack_uq.movies.source import Frame
from torchtrack_uq.movies.tiff_header import read_tiff_header

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _GREY_ALPHA: 2, _RGBA: 4}


def read_header(file: Path, options: ReadOptions, *, scale: bool = True) -> ArrayHeader:
    """What a file with one frame says of it.

    Raises:
        InputError: It cannot be read.
    """
    suffix = file.suffix.lower()
    if suffix == ".png":
        return _png_header(file)
    if is_seg(file):
        masks = read_seg(file)
        return ArrayHeader(unstated_axes(masks.ndim), masks.shape, masks.dtype, "Cellpose _seg.npy")
    if suffix == ".npy":
        array = open_npy(file)
        return ArrayHeader(unstated_axes(array.ndim), array.shape, array.dtype, "npy")
    return read_tiff_header(file, options.scene, scale=scale)


def read_pixels(file: Path, options: ReadOptions) -> Frame:
    """All of a file's pixels, along the axes of its header.

    Raises:
        InputError: It cannot be read.
    """
    if is_seg(file):
        return read_seg(file)
    try:
        if file.suffix.lower() == ".png":
            return np.asarray(imagecodecs.png_decode(file.read_bytes()))
        if file.suffix.lower() == ".npy":
            return np.asarray(open_npy(file))
        with tifffile.TiffFile(file) as tif:
            return np.asarray(tif.series[(options.scene or 1) - 1].asarray())
    except InputError:
        raise
    except Exception as error:  # whatever libraries and codecs meet in a damaged file
        raise InputError(f"{file} cannot be read: {error}") from error


def is_seg(file: Path) -> bool:
    """Whether a file is named as Cellpose's `_seg.npy`."""
    return file.name.lower().endswith("_seg.npy")


def open_npy(file: Path) -> Any:
    """A numpy array whose pixels stay on the disk until they are read.

    Raises:
        InputError: It is damaged, or holds Python objects.
    """
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # damaged, or a pickle, which would run whatever it holds
        raise InputError(
            f"{file} cannot be read as an array of numbers ({error}); expected what numpy.save writes of one array"
        ) from error


def _png_header(file: Path) -> ArrayHeader:
    """From the first chunk of the file (PNG specification, 11.2.1)."""
    with file.open("rb") as stream:
        start = stream.read(26)
    if len(start) < 26 or not start.startswith(_PNG):
        raise InputError(f"{file} cannot be read as a PNG: it does not start as one")
    width, height, depth, colour = struct.unpack(">IIBB", start[16:26])
    if colour not in _SAMPLES:
        raise InputError(
            f"{file} is a PNG with a palette, whose colours need not be its labels; save it in shades of grey, 16 bits"
        )
    dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
    if colour == _GREY:
        return ArrayHeader("YX", (height, width), dtype, "PNG")
    return ArrayHeader("YXS", (height, width, _SAMPLES[colour]), dtype, "PNG")
