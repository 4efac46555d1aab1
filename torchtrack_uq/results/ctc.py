"""Cell Tracking Challenge result format: one mask a frame, labelled by track, and res_track.txt."""

import io
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import index_cells
from torchtrack_uq.results.tracklets import Tracklets
from torchtrack_uq.utils.crew import Alone, Crew
from torchtrack_uq.utils.progress import with_progress


def write_tracks(folder: str | os.PathLike[str], detections: Detections, tracklets: Tracklets) -> None:
    """Write `res_track.txt` alone: rows of track, begin, end, parent, in the user's own frame numbers.

    What there is of the format for points, which have no masks; `cells.csv` has the track of each.

    Args:
        folder: An existing folder.
        detections: The movie's N cells.
        tracklets: Their tracks.
    """
    table = tracklets.table[["track", "begin", "end", "parent"]].to_numpy(np.int64, copy=True)
    table[:, 1:3] = detections.naming.frames(table[:, 1:3])
    np.savetxt(Path(folder) / "res_track.txt", table, fmt="%d")


def write_ctc(
    folder: str | os.PathLike[str],
    movie: Movie,
    detections: Detections,
    tracklets: Tracklets,
    *,
    crew: Crew | None = None,
    progress: bool = True,
) -> None:
    """Write `maskNNN.tif` and `res_track.txt` (rows of track, begin, end, parent).

    The masks are 16 bit as the challenge demands, or 32 bit with a warning if there are more tracks than
    16 bits can name. Format: https://celltrackingchallenge.net/datasets (naming and file content conventions).

    Args:
        folder: An existing folder.
        movie: The masks that the cells were measured on.
        detections: The movie's N cells.
        tracklets: Their tracks, see `torchtrack_uq.results.tracklets`.
        crew: Who relabels the masks, see `torchtrack_uq.utils.crew`; this process by default. It writes all files.
        progress: Whether to show a progress bar.

    Raises:
        InputError: The masks hold other cells than the detections, or they were changed since these were measured.

    >>> import tempfile
    >>> from torchtrack_uq.results.tracklets import tracklets
    >>> masks = np.zeros((2, 8, 8), np.uint16)
    >>> masks[0, 2:4, 2:4], masks[1, 2:4, 3:5] = 7, 9
    >>> movie = Movie.open(None, masks)
    >>> cells = Detections.from_movie(movie, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ctc(folder, movie, cells, tracklets(cells.frame, np.array([-1, 0])), progress=False)
    ...     print((Path(folder) / "res_track.txt").read_text())
    1 0 1 0
    """
    table = tracklets.table
    write_tracks(folder, detections, tracklets)
    dtype = np.uint16 if len(table) < 1 << 16 else np.uint32
    if dtype == np.uint32:
        warnings.warn(
            f"{len(table)} tracks do not fit the 16 bits of the Cell Tracking Challenge format; "
            "the masks are written with 32 bits, which its own evaluation may refuse",
            stacklevel=2,
        )
    crew = crew or Alone()
    digits = max(3, len(str(detections.n_frames - 1)))
    files = crew.map(mask_file, (movie, detections, tracklets.track, dtype), range(detections.n_frames))
    shown = with_progress(files, "Writing masks", total=detections.n_frames, show=progress)
    for t, content in enumerate(shown):
        (Path(folder) / f"mask{t:0{digits}d}.tif").write_bytes(content)


def mask_file(common: tuple[Movie, Detections, NDArray[np.int64], type[np.integer[Any]]], t: int) -> bytes:
    """A frame's mask, labelled by track, as a TIFF.

    Args:
        common: Movie, cells, their tracks, and type of the pixels.
        t: The frame.
    """
    movie, detections, track, dtype = common
    where, cell = index_cells(movie, detections, t)
    _check_unchanged(movie, detections, t, where, cell)
    relabelled = np.zeros(movie.frame_shape, dtype)
    relabelled.reshape(-1)[where] = track[detections.in_frame(t)][cell]
    content = io.BytesIO()
    tifffile.imwrite(
        content, relabelled, photometric="minisblack", compression="zlib", compressionargs={"level": 1}
    )
    return content.getvalue()


def _check_unchanged(
    movie: Movie, detections: Detections, t: int, where: NDArray[np.int64], cell: NDArray[np.int64]
) -> None:
    """Refuse masks in which a cell has another size or another centre than when it was measured.

    Cells that somebody made without measuring them have no size, and may lie wherever they like.
    """
    frame = detections.in_frame(t)
    diameter = detections.features.get("equivalent_diameter_area")
    if diameter is None or not len(where):
        return
    ndim, shape = detections.ndim, movie.frame_shape
    steps = np.array([math.prod(shape[axis + 1 :]) for axis in range(ndim)], np.float64)
    volume = diameter[frame, 0].astype(np.float64) ** ndim * math.pi / (2 * ndim)
    area = np.bincount(cell).astype(np.float64)
    size_differs = np.abs(volume / np.prod(detections.aspect) - area) > 1e-4 * area + 1e-3
    # the mean of flat positions is the centroid along the steps of the axes; sums are rounded
    moved = np.bincount(cell, weights=where) / area - detections.coords[frame] @ steps
    differs = size_differs | (np.abs(moved) > 1e-6 * math.prod(shape) + 1e-3)
    if differs.any():
        label = detections.label[frame][int(np.flatnonzero(differs)[0])]
        raise InputError(
            f"{movie.masks.name} was changed while it was tracked: cell {label} of frame {t} is not as it was "
            "measured; run the command again when nothing writes to the masks"
        )
