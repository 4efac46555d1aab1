"""Noise on centroids, sizes and brightness, in units of each cell's own size."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections

Floats = NDArray[np.float64]

HARMONICS = (2, 3, 4)
"""Bumps around a cell that boundary noise is made of; 0 would be its size, 1 its position."""


@dataclass(frozen=True)
class NoiseSizes:
    """Standard deviations of the noise.

    The defaults are medians over six real movies of what `experiments/repeatability.py` measures (table in
    `experiments/results/repeatability.md`): third differences along tracks for position, size and intensity,
    contours drawn at 40 to 60 % of the contrast for boundaries.

    Attributes:
        position: Of a centroid along each axis, in diameters of the cell.
        size: Of the logarithm of its diameter.
        intensity: Of its mean intensity, in units of the movie's contrast (1st to 99.8th percentile).
        boundary: Of its boundary, in diameters, beside what position and size do to it.

    Raises:
        InputError: A negative or infinite size.
    """

    position: float = 0.03
    size: float = 0.02
    intensity: float = 0.004
    boundary: float = 0.007

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0 <= value < np.inf:
                raise InputError(f"noise of {item.name} must be at least 0 and finite, got {value}")

    @classmethod
    def none(cls) -> "NoiseSizes":
        """No noise at all."""
        return cls(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Perturbation:
    """One draw of noise for all N cells of a movie in D dimensions.

    Attributes:
        shift: (N, D) float64, displacement of each cell in pixels of x: along z, a plane is several of them.
        growth: (N,) float64, change of the logarithm of its diameter.
        brightness: (N,) float64, change of its normalised intensity.
        bumps: (N, 2 H) float64, cosine and sine amplitudes of its boundary in pixels of x, one per harmonic.
        diameter: (N,) float64, its diameter in pixels of x.
    """

    shift: Floats
    growth: Floats
    brightness: Floats
    bumps: Floats
    diameter: Floats


def diameters(detections: Detections) -> Floats:
    """(N,) diameter of each cell in pixels of x; of points, the distance to the nearest cell in the same frame.

    >>> diameters(Detections.from_points(np.array([0, 0]), np.array([[0.0, 0], [3, 4]])))
    array([5., 5.])
    """
    measured = detections.features.get("equivalent_diameter_area")
    if measured is not None:
        return np.asarray(measured[:, 0], np.float64)
    diameter = np.ones(len(detections))
    for t in range(detections.n_frames):
        cells = detections.in_frame(t)
        if cells.stop - cells.start > 1:
            coords = detections.isotropic_coords[cells]
            diameter[cells] = np.asarray(cKDTree(coords).query(coords, k=2)[0])[:, 1]
    return diameter


def draw_perturbation(
    detections: Detections, sizes: NoiseSizes, generator: np.random.Generator
) -> Perturbation:
    """Draw Gaussian noise for every cell."""
    n, diameter = len(detections), diameters(detections)
    bump = sizes.boundary * diameter / np.sqrt(len(HARMONICS))
    return Perturbation(
        shift=generator.normal(size=(n, detections.ndim)) * (sizes.position * diameter)[:, None],
        growth=generator.normal(size=n) * sizes.size,
        brightness=generator.normal(size=n) * sizes.intensity,
        bumps=generator.normal(size=(n, 2 * len(HARMONICS))) * bump[:, None],
        diameter=diameter,
    )


def perturb_detections(detections: Detections, noise: Perturbation) -> Detections:
    """The same cells as they would have been measured with this noise.

    Region properties change together: with a diameter goes the inertia tensor as its square. The distance to
    the image border is left as it is.

    >>> cells = Detections.from_points(np.array([0, 0]), np.array([[0.0, 0], [3, 4]]))
    >>> noise = draw_perturbation(cells, NoiseSizes.none(), np.random.default_rng(0))
    >>> bool((perturb_detections(cells, noise).coords == cells.coords).all())
    True
    """
    features: Mapping[str, NDArray[np.float32]] = dict(detections.features)
    scale = np.exp(noise.growth)[:, None]

    def changed(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if name == "equivalent_diameter_area":
            return np.asarray(values * scale, np.float32)
        if name == "inertia_tensor":
            return np.asarray(values * scale**2, np.float32)
        if name == "intensity_mean" and detections.has_images:
            return np.asarray(values + noise.brightness[:, None], np.float32)
        return values

    return replace(
        detections,
        coords=detections.coords + noise.shift / detections.aspect,
        features={name: changed(name, values) for name, values in features.items()},
    )
