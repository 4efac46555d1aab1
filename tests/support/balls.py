"""A 3D movie of balls in a microscope whose planes lie farther apart than its pixels."""

import numpy as np

from torchtrack_uq.datasets import AnnotatedMovie, Lineage
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie

VOXEL = (2.0, 0.4, 0.4)
APART = 5
"""Pixels from plane to plane: as many as the edges of `VOXEL` say."""


def moving_balls(
    n_frames: int = 4, radius: float = 6.0, spacing: int = 16, step: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Balls of the same size in space, packed as tightly along every axis, that walk at random.

    Returns:
        (T, 12, 64, 64) images and label masks, uint16, of every fifth plane of 60; a ball keeps its label.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(
        np.meshgrid(*(np.arange(10, size - 6, spacing) for size in (60, 64, 64)), indexing="ij"), -1
    )
    place = grid.reshape(-1, 3) + rng.uniform(-1.5, 1.5, (grid.size // 3, 3))
    planes = np.indices((60 // APART, 64, 64)).astype(float)
    planes[0] *= APART
    masks = np.zeros((n_frames, *planes.shape[1:]), np.uint16)
    for t in range(n_frames):
        away = np.stack([((planes - at[:, None, None, None]) ** 2).sum(axis=0) for at in place])
        masks[t] = np.where(away.min(axis=0) < radius**2, away.argmin(axis=0) + 1, 0)
        place = place + rng.normal(0, step, place.shape)
    images = (masks > 0) * 100 + rng.integers(0, 20, masks.shape)
    return images.astype(np.uint16), masks


def annotated_balls(
    voxel_size: tuple[float, ...] | None = VOXEL, interval: float | None = None
) -> AnnotatedMovie:
    """`moving_balls` with the truth: a label is a track."""
    images, masks = moving_balls()
    movie = Movie.open(images, masks, voxel_size=voxel_size, interval=interval)
    cells = Detections.from_movie(movie, progress=False)
    spans = [(k, cells.frame[cells.label == k]) for k in np.unique(cells.label)]
    lineage = Lineage.from_rows([(int(k), int(at.min()), int(at.max()), 0) for k, at in spans])
    return AnnotatedMovie("balls", cells, lineage, movie=movie)
