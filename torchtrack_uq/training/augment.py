"""Random changes of a training window under which the true links stay the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.training.window import Window

_DIAMETER_OF_POINTS = 24.0


@dataclass(frozen=True)
class Augmentation:
    """What to change at random, and how strongly.

    A factor of 1 (scale, stretch, brightness) or a value of 0 (all others) switches a change off.

    Attributes:
        scale: Size changes by a factor between 1/scale and scale (log-uniform).
        stretch: The axes are stretched against each other by a factor between 1/stretch and stretch.
        offset: The window is shifted by up to this many pixels, so that no place in the image is special.
        drift: In `drift_share` of the windows all cells move on together, up to this many mean cell diameters
            per frame.
        drift_share: Share of windows with drift.
        shake: In `drift_share` of the windows every frame is displaced by this many mean diameters (s.d.).
        jitter: Standard deviation of a displacement of each cell, in mean diameters.
        size_noise: Relative standard deviation of each cell's diameter.
        dropout: In half of the windows, up to this share of the cells is not detected.
        intensity_dropout: Share of windows with images whose intensities are set to 0, which is what cells of
            a movie without images have.
        brightness: Intensities are multiplied by a factor between 1/brightness and brightness.
        intensity_shift: And shifted by up to this much.
        points: Share of windows whose cells lose all features, as those of a table of points have none.
    """

    scale: float = 2.0
    stretch: float = 1.5
    offset: float = 1024.0
    drift: float = 0.3
    drift_share: float = 0.25
    shake: float = 0.1
    jitter: float = 0.03
    size_noise: float = 0.03
    dropout: float = 0.1
    intensity_dropout: float = 0.5
    brightness: float = 2.0
    intensity_shift: float = 0.1
    points: float = 0.0

    def __call__(self, window: Window, rng: np.random.Generator) -> Window:
        """An augmented copy of a window; cells may be missing from it."""
        if len(window) == 0:
            return window
        window = apply_linear_map(window, self._random_map(window.coords.shape[1], rng))
        window = self._move(window, rng)
        window = self._change_appearance(window, rng)
        if self.points > 0 and rng.random() < self.points:
            window = window.replace(features=np.zeros_like(window.features))
        if self.dropout > 0 and rng.random() < 0.5:
            window = drop_cells(window, rng.random(len(window)) >= rng.uniform(0, self.dropout))
        return window

    def _random_map(self, ndim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Rotation, mirror image, scale and stretch along a random direction."""
        size = _log_uniform(rng, self.scale)
        stretch = np.sqrt(_log_uniform(rng, self.stretch))
        factors = np.full(ndim, size)
        factors[-1] *= stretch
        factors[-2] /= stretch
        turn = _random_rotation(ndim, rng)
        mirror = np.where(rng.random(ndim) < 0.5, -1.0, 1.0)
        return _random_rotation(ndim, rng) @ np.diag(factors * mirror) @ turn

    def _move(self, window: Window, rng: np.random.Generator) -> Window:
        ndim, diameter = window.coords.shape[1], float(window.features[:, 0].mean()) or _DIAMETER_OF_POINTS
        moved = window.coords + rng.uniform(0, self.offset, ndim)
        if rng.random() < self.drift_share:
            speed = rng.uniform(-self.drift, self.drift, ndim) * diameter
            moved = moved + window.frame[:, None] * speed
        if rng.random() < self.drift_share:
            n_frames = int(window.frame.max()) + 1
            moved = moved + (rng.normal(size=(n_frames, ndim)) * self.shake * diameter)[window.frame]
        moved = moved + rng.normal(size=moved.shape) * self.jitter * diameter
        return window.replace(coords=moved.astype(np.float32))

    def _change_appearance(self, window: Window, rng: np.random.Generator) -> Window:
        features = window.features.copy()
        factor = np.exp(rng.normal(size=len(window)) * self.size_noise).astype(np.float32)
        features[:, 0] *= factor
        features[:, 2:-1] *= (factor**2)[:, None]
        if window.has_images and rng.random() < self.intensity_dropout:
            features[:, 1] = 0
        elif window.has_images:
            features[:, 1] *= _log_uniform(rng, self.brightness)
            features[:, 1] += rng.uniform(-self.intensity_shift, self.intensity_shift)
        return window.replace(features=features)


def apply_linear_map(window: Window, matrix: NDArray[np.float64]) -> Window:
    """Coordinates, diameters and inertia tensors of the cells after x -> M x.

    With C the covariance of a cell's pixels, skimage's inertia tensor is I = tr(C) 1 - C, so that
    C = tr(I) / (D - 1) 1 - I. The covariance becomes M C M^T, and the diameter grows by |det M|^(1/D).
    (Trackastra's own augmentation applies M I M^T, which is right for rotations and equal scaling only.)

    Args:
        window: Any window.
        matrix: (D, D), invertible.
    """
    ndim = len(matrix)
    features = window.features.copy()
    features[:, 0] *= abs(np.linalg.det(matrix)) ** (1 / ndim)
    inertia = features[:, 2:-1].astype(np.float64).reshape(-1, ndim, ndim)
    identity = np.eye(ndim)
    covariance = np.trace(inertia, axis1=1, axis2=2)[:, None, None] / (ndim - 1) * identity - inertia
    covariance = matrix @ covariance @ matrix.T
    inertia = np.trace(covariance, axis1=1, axis2=2)[:, None, None] * identity - covariance
    features[:, 2:-1] = inertia.reshape(len(features), -1)
    return window.replace(coords=(window.coords @ matrix.T).astype(np.float32), features=features)


def drop_cells(window: Window, keep: NDArray[np.bool_]) -> Window:
    """The window without some cells, as if they had not been detected: their daughters' mother is null.

    Their mothers have a daughter less, as a tracker would see it.

    Args:
        window: Any window.
        keep: (N,) bool.
    """
    mother, earlier = window.mother.copy(), window.earlier.copy()
    mother[((mother >= 0) & ~keep[mother]) | ~keep] = -1
    earlier[((earlier >= 0) & ~keep[earlier]) | ~keep[:, None]] = -1
    return window.replace(mother=mother, earlier=earlier).subset(np.flatnonzero(keep))


def _log_uniform(rng: np.random.Generator, factor: float) -> float:
    return float(np.exp(rng.uniform(-1, 1) * np.log(factor)))


def _random_rotation(ndim: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotation about the first axis in 3D (the optical axis), any angle."""
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.eye(ndim)
    rotation[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return rotation
