"""Masks with noisy boundaries, by thresholding a perturbed signed distance map."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import Frame, FrameSource
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.regions import index_cells
from torchtrack_uq.perturb.bands import Band, find_band
from torchtrack_uq.perturb.noise import NoiseSizes, Perturbation, diameters

_WIDEST = 3.0  # standard deviations of noise that the band around a boundary has room for
_MOST_BYTES = 1 << 29


class Boundaries:
    """Signed distance maps near the boundaries of a movie's masks.

    Where cells touch, noise lets the background in between them but no cell into its neighbour.

    Args:
        movie: The masks.
        detections: Their cells.
        sizes: Noise that the bands must have room for.
    """

    def __init__(self, movie: Movie, detections: Detections, sizes: NoiseSizes) -> None:
        self.movie, self.detections, self.sizes = movie, detections, sizes
        self._diameter = diameters(detections)
        self._bands: dict[int, Band] = {}
        self._room = _MOST_BYTES

    def cells(self, t: int) -> NDArray[np.int32]:
        """Frame `t` as ((Z,) Y, X) of 1 + the cell that each pixel belongs to, 0 for none.

        Raises:
            InputError: The masks hold other cells than the detections.
        """
        where, cell = index_cells(self.movie, self.detections, t)
        cells = np.zeros(self.movie.frame_shape, np.int32)
        cells.ravel()[where] = cell + 1
        return cells

    def find(self, t: int, cells: NDArray[np.int32]) -> Band:
        """The band of frame `t`, given what `cells` says of it."""
        largest = self._diameter[self.detections.in_frame(t)].max(initial=0.0)
        relative = np.sqrt(self.sizes.position**2 + (self.sizes.size / 2) ** 2 + self.sizes.boundary**2)
        return find_band(cells, 1.0 + _WIDEST * float(relative * largest), self.detections.aspect)

    def band(self, t: int) -> Band:
        """The band of frame `t`; those of the first frames are kept, up to half a gigabyte of them."""
        if t in self._bands:
            return self._bands[t]
        band = self.find(t, self.cells(t))
        if band.n_bytes <= self._room:
            self._bands[t] = band
            self._room -= band.n_bytes
        return band


class PerturbedMasks(FrameSource):
    """The masks of a movie as they would have been segmented with some noise.

    Every cell keeps its label and at least its innermost pixel; no cell loses or gains a pixel under no noise.
    `Band.kept` has the formula. A tracker that scores all copies together need not look at them one by one, see
    `PerturbedCopies.frames`.

    Args:
        boundaries: Distance maps, shared between copies.
        noise: One draw of noise.
    """

    def __init__(self, boundaries: Boundaries, noise: Perturbation) -> None:
        self._boundaries, self._noise = boundaries, noise
        self._masks = boundaries.movie.masks
        self.name, self.n_frames = self._masks.name, self._masks.n_frames
        self.frame_shape, self.dtype = self._masks.frame_shape, self._masks.dtype

    def read(self, t: int) -> Frame:
        """Read and perturb frame `t`."""
        mask = self._masks.read(t)
        cells = self._boundaries.detections.in_frame(t)
        if cells.start == cells.stop:
            return mask
        band = self._boundaries.band(t)
        kept = band.kept([self._noise], cells)[:, 0]
        label = self._boundaries.detections.label[cells].astype(mask.dtype)
        perturbed = mask.copy()
        perturbed.ravel()[band.where] = np.where(kept, label[band.cell], mask.dtype.type(0))
        return perturbed
