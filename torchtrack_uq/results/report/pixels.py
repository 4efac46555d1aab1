"""Pieces of frames as a page holds them: small grey pictures, and outlines of few points."""

from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.boxes import Box
from torchtrack_uq.results.crops import contrast, grey_of_cells, grey_of_image, lines_around

LARGEST_SIDE = 160
"""Pixels of a picture's side; of larger pieces means are shown."""
LARGEST_PICTURE = 14_000
"""Bytes of a picture, whatever it shows, so that a report stays small."""
_QUALITIES = (80, 60, 40, 20)
_MOST_POINTS = 120
"""Of an outline."""


class FramePieces:
    """Pieces of a movie's frames; the last few frames that were read are kept.

    Args:
        movie: Pixels.
        kept: How many frames.
    """

    def __init__(self, movie: Movie, kept: int = 4) -> None:
        self._image = lru_cache(kept)(movie.read_image)
        self._mask = lru_cache(kept)(movie.read_mask)
        self._contrast = lru_cache(maxsize=None)(self._contrast_of)

    def picture(self, t: int, box: Box) -> bytes:
        """A piece of frame `t` as JPEG, at most `LARGEST_PICTURE` bytes; its masks where there is no image."""
        image = self._image(t)
        if image is None:
            grey = grey_of_cells(self._mask(t), box)
        else:  # square root: nuclei differ in brightness more than a screen can show
            grey = 0.85 * np.sqrt(grey_of_image(image, box, *self._contrast(t, box.plane)))
        return small_jpeg(shrunk(grey, step_of(box)))

    def outline(self, t: int, box: Box, label: int) -> list[NDArray[np.float64]]:
        """Lines around a cell, (P, 2) each as (x, y) in shares of the piece's side."""
        step = step_of(box)
        mask = box.cut(box.flat(self._mask(t)))[step // 2 :: step, step // 2 :: step]
        lines = sorted(lines_around(mask == label), key=len, reverse=True)[:3]
        return [(line[:: -(-len(line) // _MOST_POINTS)] + 0.5) * step / box.size for line in lines]

    def _contrast_of(self, t: int, plane: int | None) -> tuple[float, float]:
        image = self._image(t)
        assert image is not None
        return contrast(Box(0, 0, 0, plane).flat(image))


def step_of(box: Box) -> int:
    """How many pixels along a side are one of the picture."""
    return -(-box.size // LARGEST_SIDE)


def shrunk(grey: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Means of blocks of `step` x `step` pixels; a side that is no multiple is filled up with its last ones.

    >>> shrunk(np.array([[0.0, 1.0], [1.0, 0.0]]), 2)
    array([[0.5]])
    """
    if step == 1:
        return grey
    missing = -grey.shape[0] % step
    full = np.pad(grey, (0, missing), mode="edge")
    n = full.shape[0] // step
    means: NDArray[np.float64] = full.reshape(n, step, n, step).mean(axis=(1, 3))
    return means


def small_jpeg(grey: NDArray[np.float64], most: int = LARGEST_PICTURE) -> bytes:
    """A picture of greys in [0, 1] as JPEG of at most so many bytes; of lower quality, then smaller, if need be."""
    pixels: NDArray[Any] = np.round(255 * grey).astype(np.uint8)
    for quality in _QUALITIES:
        content = bytes(imagecodecs.jpeg8_encode(pixels, level=quality))
        if len(content) <= most:
            return content
    return small_jpeg(shrunk(grey, 2), most)
