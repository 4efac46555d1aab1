"""Percentile normalisation of a movie's intensities from one pass over its frames."""

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH = 1.0, 99.8
_SAMPLE_BUDGET = 1 << 24
_SUBSAMPLE = 4


class IntensityScale:
    """The affine map that takes a movie's 1st percentile to 0 and its 99.8th to 1.

    The percentiles are those of `trackastra.utils.normalize` on the whole movie (every 4th pixel along the
    last two axes of large frames), but found without holding the movie: integer images of up to 16 bits
    are counted exactly; of others, at most 2^24 evenly spaced pixels are kept.

    >>> scale = IntensityScale(n_frames=1)
    >>> scale.add(np.arange(1001, dtype=np.uint16).reshape(7, 143))
    >>> low, high = scale.limits()
    >>> round(low, 3), round(high, 3)
    (10.0, 998.0)
    """

    def __init__(self, n_frames: int) -> None:
        self._n_frames = n_frames
        self._counts: NDArray[np.int64] | None = None
        self._sample: list[NDArray[np.float32]] = []
        self._offset = 0

    def add(self, image: NDArray[np.generic]) -> None:
        """Count the pixels of one frame."""
        large = all(size > 64 * _SUBSAMPLE for size in image.shape[-2:])
        pixels = image[..., ::_SUBSAMPLE, ::_SUBSAMPLE].ravel() if large else image.ravel()
        if image.dtype.kind in "iub" and image.dtype.itemsize <= 2:
            if self._counts is None:
                self._offset = 0 if image.dtype.kind in "ub" else -(1 << 15)
                self._counts = np.zeros(1 << 16, np.int64)
            self._counts += np.bincount(pixels.astype(np.int64) - self._offset, minlength=1 << 16)
        else:
            step = -(-pixels.size * self._n_frames // _SAMPLE_BUDGET)
            self._sample.append(pixels[:: max(step, 1)].astype(np.float32))

    def merge(self, later: "IntensityScale") -> None:
        """Count what another one counted of later frames of the same movie."""
        if later._counts is not None:
            self._offset = later._offset
            self._counts = later._counts if self._counts is None else self._counts + later._counts
        self._sample += later._sample

    def limits(self) -> tuple[float, float]:
        """The two percentiles, in the units of the images."""
        if self._counts is None:
            low, high = np.percentile(np.concatenate(self._sample), (_LOW, _HIGH))
            return float(low), float(high)
        cumulative = np.cumsum(self._counts)
        return (
            _percentile_of_counts(cumulative, _LOW) + self._offset,
            _percentile_of_counts(cumulative, _HIGH) + self._offset,
        )

    def normalise(self, intensity: NDArray[np.float64]) -> NDArray[np.float32]:
        """Map intensities (any shape) to the normalised scale."""
        low, high = self.limits()
        return ((intensity - low) / (high - low + 1e-8)).astype(np.float32)


def _percentile_of_counts(cumulative: NDArray[np.int64], percent: float) -> float:
    """Percentile with linear interpolation, as numpy's, of a histogram's cumulative counts."""
    position = percent / 100 * (int(cumulative[-1]) - 1)
    below, above = np.searchsorted(cumulative, [np.floor(position), np.ceil(position)], side="right")
    return float(below + (above - below) * (position - np.floor(position)))
