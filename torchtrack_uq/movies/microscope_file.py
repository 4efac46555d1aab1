"""Nikon's nd2 and Zeiss' czi through bioio, frame by frame."""

from pathlib import Path
from typing import Any

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.arrays import ArrayFrames
from torchtrack_uq.movies.axes import ArrayHeader
from torchtrack_uq.movies.options import ReadOptions
from torchtrack_uq.utils.optional import import_optional

READERS = {".nd2": "bioio_nd2", ".czi": "bioio_czi"}
"""Which plug-in of bioio reads which files."""
_AXES = "TCZYX"


class MicroscopeFrames(ArrayFrames):
    """Frames of a microscope's own file.

    Args:
        array: Its pixels.
        file: The file.
        header: What it says of them.
        options: What a person said of it.
    """

    def __init__(self, array: Any, file: Path, header: ArrayHeader, options: ReadOptions) -> None:
        super().__init__(array, str(file), header, options)
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the file anew."""
        return open_microscope_file, (self._file, self.reading.options)


def open_microscope_file(file: Path, options: ReadOptions) -> ArrayFrames:
    """Open a microscope's own file; pixels are read when a frame is.

    Raises:
        InputError: bioio or its plug-in is not installed, or the file cannot be read or holds several scenes.
    """
    suffix = file.suffix.lower()
    bioio = import_optional("bioio", "formats", f"reading {suffix} files")
    reader = import_optional(READERS[suffix], "formats", f"reading {suffix} files")
    try:
        image = bioio.BioImage(file, reader=reader.Reader)
        image.set_scene(_scene(image, file, options.scene))
        array = image.get_image_dask_data(_AXES)
        header = ArrayHeader(
            _AXES,
            tuple(int(size) for size in array.shape),
            np.dtype(array.dtype),
            suffix[1:],
            tuple(str(name) for name in image.channel_names or ()),
            _edges(image.physical_pixel_sizes),
            _interval(image),
        )
    except InputError:
        raise
    except Exception as error:  # whatever bioio and its plug-ins meet in a damaged file
        why = str(error).partition("\n")[0]
        raise InputError(f"{file} cannot be read ({why}); save it as OME-TIFF") from error
    return MicroscopeFrames(array, file, header, options)


def _scene(image: Any, file: Path, scene: int | None) -> int:
    names = list(image.scenes)
    if scene is None and len(names) > 1:
        raise InputError(
            f"{file} holds {len(names)} scenes ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}); choose one "
            f"with --scene, from 1 to {len(names)}"
        )
    if scene is not None and scene > len(names):
        raise InputError(f"{file} holds {len(names)} scene(s), so there is no scene {scene}")
    return 0 if scene is None else scene - 1


def _edges(sizes: Any) -> dict[str, float]:
    """Micrometres, as bioio gives them, None where unknown."""
    found = {axis: getattr(sizes, axis, None) for axis in "ZYX"}
    return {axis: float(edge) for axis, edge in found.items() if edge is not None and edge > 0}


def _interval(image: Any) -> float | None:
    """Seconds; bioio gives a timedelta, or None."""
    interval = getattr(image, "time_interval", None)
    total = getattr(interval, "total_seconds", None)
    if total is None:
        return None
    found = float(total())
    return found if found > 0 else None
