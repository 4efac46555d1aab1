"""Activity of cells: how much consecutive images differ inside them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.detections import Detections
from torchtrack_uq.intensity import IntensityScale
from torchtrack_uq.movie import Movie
from torchtrack_uq.perturb import PerturbedCopies
from torchtrack_uq.progress import with_progress
from torchtrack_uq.regions import index_cells

_Images = tuple[NDArray[np.float64], NDArray[np.float64]]
"""An image and the next, (P,) each."""


class GreyLevels(NamedTuple):
    """The factor that turns differences of a movie's pixels into grey levels."""

    per_unit: float


def grey_levels(movie: Movie, contrast: float | None) -> GreyLevels:
    """Grey levels per unit of a movie's images.

    Args:
        movie: A movie with images.
        contrast: Grey levels between the movie's 1st and 99.8th percentile; None leaves its own.
    """
    if contrast is None:
        return GreyLevels(1.0)
    scale = IntensityScale(movie.n_frames)
    for t in range(movie.n_frames):
        image = movie.read_image(t)
        assert image is not None
        scale.add(image)
    low, high = scale.limits()
    return GreyLevels(contrast / max(high - low, 1e-12))


def cell_activity(
    movie: Movie, detections: Detections, levels: GreyLevels, *, progress: bool = True
) -> NDArray[np.float64]:
    """Mean of |I_t - I_{t+1}| / 2 inside each cell of frame t (Ruzaeva et al., IPAS 2022).

    Args:
        movie: Images and masks, read two frames at a time.
        detections: Its cells.
        levels: Unit of the result.
        progress: Whether to show a progress bar.

    Returns:
        (N,) grey levels; 0 in the last frame, which has no next image.

    Raises:
        InputError: The masks hold other cells than `detections`.
    """
    activity = np.zeros(len(detections))
    for t, images in with_progress(
        _image_pairs(movie), "Measuring activity", total=movie.n_frames - 1, show=progress
    ):
        where, cell = index_cells(movie, detections, t)
        cells = detections.in_frame(t)
        n_cells = cells.stop - cells.start
        area = np.bincount(cell, minlength=n_cells)
        total = np.bincount(cell, weights=_change(images, where), minlength=n_cells)
        activity[cells] = total / np.maximum(area, 1)
    return activity * levels.per_unit


def activity_of_copies(
    movie: Movie, copies: PerturbedCopies, levels: GreyLevels, *, progress: bool = True
) -> NDArray[np.float64]:
    """(R, N) what `cell_activity` finds in each of R copies of a movie, from one pass over its frames.

    Holds two images and one frame of all copies. Images are those of the movie: noise does not change them.
    """
    activity = []
    frames = zip(copies.frames(), _image_pairs(movie), strict=False)  # the last frame begins no pair
    for frame, (_, images) in with_progress(
        frames, "Measuring activity", total=movie.n_frames - 1, show=progress
    ):
        activity.append(frame.sums(_change(images, frame.foreground)) / np.maximum(frame.areas(), 1))
    last = copies.detections.in_frame(movie.n_frames - 1)
    activity.append(np.zeros((last.stop - last.start, len(copies))))
    return np.concatenate(activity).T * levels.per_unit


def _image_pairs(movie: Movie) -> Iterator[tuple[int, _Images]]:
    """Every frame t but the last, with its image and the next."""
    previous: NDArray[np.float64] | None = None
    for t in range(movie.n_frames):
        image = movie.read_image(t)
        assert image is not None
        grey = np.asarray(image, np.float64).ravel()
        if previous is not None:
            yield t - 1, (previous, grey)
        previous = grey


def _change(images: _Images, where: NDArray[np.int64]) -> NDArray[np.float64]:
    """|I_t - I_{t+1}| / 2 at some pixels."""
    change: NDArray[np.float64] = 0.5 * np.abs(images[0][where] - images[1][where])
    return change
