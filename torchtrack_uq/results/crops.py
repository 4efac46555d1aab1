"""What the review page and the report show of a frame: a piece of the image, and outlines of the cells in it."""

from typing import Any

import contourpy
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.boxes import Box

_GREY_OF_CELLS = 0.35
_ENOUGH_PIXELS = 200_000
"""To tell a frame's darkest and brightest percentiles."""


def crop_png(movie: Movie, t: int, box: Box, *, low: float = 0.5, high: float = 99.8) -> bytes:
    """A piece of frame `t` as an 8-bit grey PNG; the masks where there is no image.

    Args:
        movie: Pixels.
        t: Frame.
        box: Which piece.
        low: Percentile of the frame that is drawn black.
        high: Percentile that is drawn white.
    """
    image = movie.read_image(t)
    if image is None:
        return _png(grey_of_cells(movie.read_mask(t), box))
    grey = grey_of_image(image, box, *contrast(box.flat(image), low, high))
    return _png(grey)


def _png(grey: NDArray[np.float64]) -> bytes:
    return bytes(imagecodecs.png_encode(np.round(255 * grey).astype(np.uint8), level=1))


def grey_of_cells(mask: NDArray[Any], box: Box) -> NDArray[np.float64]:
    """(size, size) piece of a label mask, 0 for background and one grey for all cells."""
    return np.where(box.cut(box.flat(mask)) > 0, _GREY_OF_CELLS, 0.0)


def contrast(image: NDArray[Any], low: float = 0.5, high: float = 99.8) -> tuple[float, float]:
    """Brightness of some of an image's pixels at two percentiles: what is drawn black, and what white."""
    every = max(1, int((image.size / _ENOUGH_PIXELS) ** 0.5))
    some = image[::every, ::every].astype(np.float32)
    black, white = np.percentile(some, [min(low, high), max(low, high)]).tolist()
    return black, white


def grey_of_image(image: NDArray[Any], box: Box, black: float, white: float) -> NDArray[np.float64]:
    """(size, size) piece of an image, 0 for black to 1 for white; black beyond the border."""
    bright: NDArray[np.float64] = box.cut(box.flat(image)).astype(np.float64) - black
    return np.clip(bright / max(white - black, 1e-12), 0, 1)


def outlines(movie: Movie, t: int, box: Box) -> list[dict[str, Any]]:
    """Cells of frame `t` in a piece: label and lines around them, in pixels of the whole frame, as (x, y).

    Lines run half-way between pixels inside and outside; a cell in several pieces has several lines.
    """
    mask, corner = box.cut(box.flat(movie.read_mask(t))), np.array([box.left, box.top])
    found = []
    for label in np.unique(mask[mask > 0]).tolist():
        paths = [np.round(line + corner, 1).tolist() for line in lines_around(mask == label)]
        found.append({"label": int(label), "paths": paths})
    return found


def lines_around(inside: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Closed lines, (P, 2) each as (x, y) in pixels, half-way between pixels inside and outside.

    >>> lines_around(np.array([[True]]))[0].tolist()
    [[-0.5, 0.0], [0.0, -0.5], [0.5, 0.0], [0.0, 0.5], [-0.5, 0.0]]
    """
    lines = contourpy.contour_generator(z=np.pad(inside, 1).astype(np.float32)).lines(0.5)
    return [np.asarray(line, np.float64) - 1 for line in lines]
