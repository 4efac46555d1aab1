"""What the page shows of a frame: a piece of the image as PNG, and outlines of the cells in it."""

import io
from typing import Any

import contourpy
import numpy as np
from matplotlib.image import imsave

from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.review.boxes import Box

_GREY_OF_CELLS = 0.35


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
        grey = (box.cut(box.flat(movie.read_mask(t))) > 0) * _GREY_OF_CELLS
    else:
        flat = box.flat(image).astype(np.float32)
        black, white = np.percentile(flat, [min(low, high), max(low, high)])
        grey = np.clip((box.cut(flat) - black) / max(float(white - black), 1e-12), 0, 1)
    file = io.BytesIO()
    imsave(file, grey, cmap="gray", vmin=0, vmax=1, format="png", pil_kwargs={"compress_level": 1})
    return file.getvalue()


def outlines(movie: Movie, t: int, box: Box) -> list[dict[str, Any]]:
    """Cells of frame `t` in a piece: label and lines around them, in pixels of the whole frame, as (x, y).

    Lines run half-way between pixels inside and outside; a cell in several pieces has several lines.
    """
    mask = box.cut(box.flat(movie.read_mask(t)))
    found = []
    for label in np.unique(mask[mask > 0]).tolist():
        inside = np.pad(mask == label, 1)
        lines = contourpy.contour_generator(z=inside.astype(np.float32)).lines(0.5)
        paths = [np.round(np.asarray(line) - 1 + [box.left, box.top], 1).tolist() for line in lines]
        found.append({"label": int(label), "paths": paths})
    return found
