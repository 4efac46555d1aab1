"""The one door to images and masks, whatever they are stored in."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.arrays import ArrayFrames, StackFrames
from torchtrack_uq.movies.axes import ArrayHeader, unstated_axes
from torchtrack_uq.movies.cellpose_seg import read_seg
from torchtrack_uq.movies.folder_frames import FolderFrames
from torchtrack_uq.movies.folder_names import SUFFIXES, files_of
from torchtrack_uq.movies.frame_size import check_frame_fits
from torchtrack_uq.movies.image_file import is_seg, open_npy, read_header
from torchtrack_uq.movies.microscope_file import READERS, open_microscope_file
from torchtrack_uq.movies.ome_zarr import is_zarr, open_zarr
from torchtrack_uq.movies.options import ReadOptions, Role
from torchtrack_uq.movies.source import Frame, FramesLike, FrameSource, SelectedFrames

__all__ = [
    "ArrayFrames",
    "FolderFrames",
    "Frame",
    "FrameSource",
    "FramesLike",
    "SelectedFrames",
    "StackFrames",
    "open_frames",
]
_TIFF_SUFFIXES = (".tif", ".tiff")
_TRACKS_SUFFIXES = (".xml", ".h5", ".hdf5")
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".gz", ".parquet", ".xlsx")


def open_frames(
    source: FramesLike,
    name: str = "array",
    *,
    axes: str | None = None,
    channel: int | str | None = None,
    scene: int | None = None,
    missing_frames: str = "refuse",
    role: Role | None = None,
    spatial: int | None = None,
) -> FrameSource:
    """Open images or masks, whatever they are stored in, without reading their pixels.

    Args:
        source: A folder with one file a frame (TIFF, PNG, npy, Cellpose's `_seg.npy`); a multi-page TIFF (OME and
            ImageJ ones too), an npy, nd2 or czi file; an OME-Zarr folder; a numpy, dask or zarr array of shape
            (T, (Z,) Y, X); a `FrameSource` is passed through.
        name: What to call an array in messages.
        axes: What each axis is, such as "TZYX", in place of what the source states.
        channel: Which of several channels, counted from 1, or its name.
        scene: Which of several images in a file, counted from 1.
        missing_frames: What becomes of numbers that the names of a folder's files leave out: "refuse", "empty" (a
            frame without cells) or "skip" (as if the others followed each other).
        role: "images" or "masks", where a folder holds both; by default what `name` says.
        spatial: Dimensions of a frame where something else says so, 2 or 3.

    Raises:
        InputError: The path does not exist, is of no known format, or holds several channels, frames of several
            shapes, or axes that nobody can name.

    >>> open_frames(np.zeros((5, 8, 9), np.uint16)).frame_shape
    (8, 9)
    >>> open_frames(np.zeros((2, 5, 8, 9), np.uint16), axes="CTYX", channel=2).n_frames
    5
    """
    if isinstance(source, FrameSource):
        return source
    if role is None and name in ("images", "masks"):
        role = "masks" if name == "masks" else "images"
    options = ReadOptions(axes, channel, scene, missing_frames, role, spatial)
    if isinstance(source, str | os.PathLike):
        frames = _open_path(Path(source).expanduser(), options)
        check_frame_fits(frames.frame_shape, frames.dtype, frames.name)
        return frames
    if hasattr(source, "columns"):
        raise InputError(
            f"{name} is a table; expected label masks or images: positions of cells go in as points (--points FILE, "
            "Detections.from_points)"
        )
    if hasattr(source, "ndim") and hasattr(source, "dtype"):
        return ArrayFrames(source, name, options=options)
    if isinstance(source, list | tuple):
        shapes = {np.shape(frame) for frame in source}
        if len(shapes) > 1:
            raise InputError(f"{name} is a list of frames of several shapes, {sorted(shapes)}; expected one")
        return ArrayFrames(np.asarray(source), name, options=options)
    raise InputError(f"{name} is a {type(source).__name__}; expected a path, a numpy array or a dask array")


def _open_path(path: Path, options: ReadOptions) -> FrameSource:
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        return open_zarr(path, options) if is_zarr(path) else _open_folder(path, options)
    if suffix in _TIFF_SUFFIXES:
        return StackFrames(path, options)
    if is_seg(path):
        return _open_array(read_seg(path), path, "Cellpose _seg.npy", options)
    if suffix == ".npy":
        return _open_array(open_npy(path), path, "npy", options)
    if suffix in READERS:
        return open_microscope_file(path, options)
    if suffix in _TABLE_SUFFIXES:
        raise InputError(
            f"{path} is a table and holds no image; a table of spots is tracked by torchtrack-uq track --points FILE, "
            "one of finished tracks goes into torchtrack-uq doubt FILE"
        )
    if suffix in SUFFIXES:
        raise InputError(f"{path} is one image; expected the folder that has one such file a frame")
    if suffix in _TRACKS_SUFFIXES:
        raise InputError(
            f"{path} holds no image; tracks of TrackMate or btrack go into torchtrack-uq doubt FILE, with -m MASKS "
            "where there are masks"
        )
    raise InputError(
        f"{path} is no TIFF; expected a .tif, .npy, .nd2 or .czi file, an OME-Zarr folder, or a folder with one TIFF, "
        "PNG or npy file a frame; other formats can be saved as OME-TIFF in Fiji (Bio-Formats) or napari"
    )


def _open_folder(folder: Path, options: ReadOptions) -> FrameSource:
    # The ground truth folder of the Cell Tracking Challenge, NAME/01_GT, has its masks in TRA.
    if (folder / "TRA").is_dir():
        folder = folder / "TRA"
    files = files_of(folder, options.role)
    if len(files) == 1 and files[0].suffix.lower() in _TIFF_SUFFIXES:
        header = read_header(files[0], options, scale=False)
        if header.size("T") > 1:  # not one frame but the movie
            return StackFrames(files[0], options)
    return FolderFrames(folder, options, files)


def _open_array(array: Any, file: Path, stored_in: str, options: ReadOptions) -> ArrayFrames:
    shape = tuple(int(size) for size in array.shape)
    header = ArrayHeader(unstated_axes(len(shape)), shape, np.dtype(array.dtype), stored_in)
    return ArrayFrames(array, str(file), header, options)
