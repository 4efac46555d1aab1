"""Frames of a folder that holds one file a frame."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.axes import ArrayHeader, Layout, lay_out
from torchtrack_uq.movies.folder_names import files_of
from torchtrack_uq.movies.frame_size import check_frame_fits
from torchtrack_uq.movies.image_file import read_header, read_pixels
from torchtrack_uq.movies.numbering import frame_numbers, in_words, missing_numbers, pattern
from torchtrack_uq.movies.options import ReadOptions
from torchtrack_uq.movies.source import Frame, FrameSource, Reading


class FolderFrames(FrameSource):
    """Frames of a folder that holds one TIFF, PNG or numpy array a frame, in natural order of their names.

    A frame whose number is missing among the names is refused, or kept: without a cell in masks, as the frame before
    it in images, where no cell asks for it.

    Args:
        folder: The folder.
        options: What a person said of it.
        files: Its files, where they are known.

    Raises:
        InputError: See `files_of`, `frame_numbers` and `lay_out`; or a missing frame, or frames that differ in shape.
    """

    def __init__(
        self, folder: Path, options: ReadOptions | None = None, files: Sequence[Path] | None = None
    ) -> None:
        self._options = options = options or ReadOptions()
        self.name = str(folder)
        found = files_of(folder, options.role) if files is None else files
        numbers, missing = _numbers(found, self.name)
        if missing:
            _check_gap(missing, len(found), self.name, options.missing_frames)
        if numbers:
            order = np.argsort(numbers)
            found, numbers = [found[k] for k in order], tuple(numbers[k] for k in order)
        headers = [read_header(file, options, scale=k == 0) for k, file in enumerate(found)]
        for file, header in zip(found, headers, strict=True):
            check_frame_fits(header.shape, header.dtype, str(file))
        layouts = _layouts(headers, found, options)
        first = layouts[0]
        self._files: list[Path | None] = list(found)
        self._layouts: list[Layout | None] = list(layouts)
        if options.missing_frames == "empty":
            numbers = self._fill(numbers, missing)
        self.n_frames, self.frame_shape = len(self._files), first.frame_shape
        # Writers may store the frames with few labels in a smaller type: the movie has the widest of them.
        self.dtype = np.result_type(*{header.dtype for header in headers})
        self.voxel_size, self.interval = first.voxel_size, first.interval
        self.reading = Reading(
            format=f"folder of {len(found)} {headers[0].format} files, {pattern(found[0].name)}",
            axes=first.axes,
            channels=first.channels,
            channel=first.channel,
            files=tuple(str(file) for file in found),
            numbers=numbers,
            missing=missing,
            notes=first.notes,
            options=options,
        )

    def read(self, t: int) -> Frame:
        """Read frame `t` from its file."""
        file, layout = self._files[t], self._layouts[t]
        if file is None or layout is None:
            if self._options.role == "images":
                return self.read(t - 1)
            return np.zeros(self.frame_shape, self.dtype)
        return layout.take(read_pixels(file, self._options))

    def _fill(self, numbers: tuple[int, ...], missing: tuple[int, ...]) -> tuple[int, ...]:
        at = {number: k for k, number in enumerate(numbers)}
        every = tuple(sorted({*numbers, *missing}))
        self._files = [self._files[at[number]] if number in at else None for number in every]
        self._layouts = [self._layouts[at[number]] if number in at else None for number in every]
        return every


def _numbers(files: Sequence[Path], folder: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if len({pattern(file.name).lower() for file in files}) > 1:
        return (), ()  # names without numbers
    numbers = frame_numbers([file.name for file in files], folder)
    return numbers, missing_numbers(sorted(numbers))


def _check_gap(missing: tuple[int, ...], n_files: int, folder: str, what: str) -> None:
    if what == "refuse":
        raise InputError(
            f"{folder} has {n_files} files but by their numbers {in_words(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; add what is missing, keep it as empty frames with "
            "--missing-frames empty (--max-gap links over them), or go on as if the rest followed each other with "
            "--missing-frames skip"
        )
    if what == "empty" and len(missing) > n_files:
        raise InputError(
            f"{folder} has {n_files} files and by their numbers {len(missing)} are missing, too many to be empty "
            "frames; number them from frame to frame, or go on as if they followed each other with "
            "--missing-frames skip"
        )


def _layouts(headers: Sequence[ArrayHeader], files: Sequence[Path], options: ReadOptions) -> list[Layout]:
    first = lay_out(headers[0], str(files[0]), options, one_frame=True)
    if options.channel is not None:  # names of channels are read from the first file only
        options = replace(options, channel=first.channel + 1)
    rest = zip(headers[1:], files[1:], strict=True)
    layouts = [first, *(lay_out(header, str(file), options, one_frame=True) for header, file in rest)]
    for file, layout in zip(files, layouts, strict=True):
        if layout.frame_shape != layouts[0].frame_shape:
            raise InputError(
                f"{file} has shape {layout.frame_shape} but {files[0].name} has {layouts[0].frame_shape}; "
                "all frames of a movie must have the same shape"
            )
    return layouts
