"""Perturbed copies of a movie, one copy after the other or one frame of all copies after the other."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.perturb.frame_copies import FrameCopies
from torchtrack_uq.perturb.masks import Boundaries, PerturbedMasks
from torchtrack_uq.perturb.noise import NoiseSizes, Perturbation, draw_perturbation, perturb_detections


class PerturbedCopies:
    """R copies of a movie under noise: an iterable of their cells and, if the movie is given, the movies.

    Args:
        detections: The movie's cells without noise.
        movie: Its masks and images without noise, or None.
        sizes: How strong the noise is.
        n_copies: Number of copies R.
        seed: Of the noise; copy r of a seed is the same whatever R is.
    """

    def __init__(
        self, detections: Detections, movie: Movie | None, sizes: NoiseSizes, n_copies: int, seed: int
    ) -> None:
        self.detections, self.movie = detections, movie
        self.sizes, self.n_copies, self.seed = sizes, n_copies, seed
        self.n_frames = detections.n_frames

    def __len__(self) -> int:
        return self.n_copies

    def __iter__(self) -> Iterator[tuple[Detections, Movie | None]]:
        boundaries = self._boundaries()
        for noise in self._noises():
            masks = None if boundaries is None else PerturbedMasks(boundaries, noise)
            noisy = None if self.movie is None or masks is None else replace(self.movie, masks=masks)
            yield perturb_detections(self.detections, noise), noisy

    def frames(self) -> Iterator[FrameCopies]:
        """Frame after frame of all copies.

        The masks are read and looked at once, not once a copy, and of all copies only pixels near boundaries are
        held: R + 44 + 4 D bytes for each of them, beside some ten times the memory of one mask while boundaries
        are found, and the noise of the movie's cells.

        Raises:
            InputError: There is no movie, or its masks hold other cells than the detections.
        """
        boundaries = self._boundaries()
        if boundaries is None:
            raise InputError("there are no frames to perturb: give the movie")
        noises = list(self._noises())
        for t in range(self.n_frames):
            owner = boundaries.cells(t)
            band = boundaries.find(t, owner)
            cells = self.detections.in_frame(t)
            kept = band.kept(noises, cells)
            owner.ravel()[band.where] = band.cell + 1
            yield FrameCopies(owner.ravel(), band.where, kept, cells.stop - cells.start)

    def _boundaries(self) -> Boundaries | None:
        return None if self.movie is None else Boundaries(self.movie, self.detections, self.sizes)

    def _noises(self) -> Iterator[Perturbation]:
        for r in range(self.n_copies):
            yield draw_perturbation(self.detections, self.sizes, np.random.default_rng([self.seed, r]))
