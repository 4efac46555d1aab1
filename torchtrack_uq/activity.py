"""Activity of cells: how much consecutive images differ inside them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.frames import Frame
from torchtrack_uq.intensity import IntensityScale
from torchtrack_uq.measure import index_regions
from torchtrack_uq.movie import Movie
from torchtrack_uq.progress import with_progress


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
    previous: Frame | None = None
    for t in with_progress(range(movie.n_frames), "Measuring activity", show=progress):
        image = movie.read_image(t)
        assert image is not None
        image = np.asarray(image, np.float64)
        if previous is not None:
            activity[detections.in_frame(t - 1)] = _mean_change(movie, detections, t - 1, previous, image)
        previous = image
    return activity * levels.per_unit


def _mean_change(
    movie: Movie, detections: Detections, t: int, image: Frame, following: Frame
) -> NDArray[np.float64]:
    where, label, cell = index_regions(movie.read_mask(t))
    if not np.array_equal(label, detections.label[detections.in_frame(t)]):
        raise InputError(
            f"{movie.masks.name} holds other cells in frame {t} than the detections; "
            "expected the masks that the detections were measured on"
        )
    change = 0.5 * np.abs(image.ravel()[where] - following.ravel()[where])
    area = np.bincount(cell, minlength=len(label))
    return np.bincount(cell, weights=change, minlength=len(label)) / np.maximum(area, 1)
