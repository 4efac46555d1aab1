"""Random training windows: which movie, stride, frames and crop."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.trackastra.view import ModelView
from torchtrack_uq.training.augment import Augmentation
from torchtrack_uq.training.simulated import SimulatedWindows
from torchtrack_uq.training.window import Window

DEFAULT_STRIDES = {1: 3.0, 2: 3.0, 3: 3.0, 4: 3.0, 5: 2.0, 6: 2.0, 7: 2.0, 8: 2.0}
"""How often each temporal stride is drawn, relative to the others."""


@dataclass(frozen=True)
class WindowSampler(Dataset[Any]):
    """Window number i of an endless, reproducible sequence of augmented training windows.

    Each window is drawn anew: a movie (all equally often, however long), a stride, a number of frames,
    where they begin, and, where they hold more than `max_cells` cells, a box around a random cell that holds
    as many. Daughters whose mother lies outside that box have no target. Window i depends on (seed, i)
    alone, so that a resumed run sees what an uninterrupted one would.

    Attributes:
        movies: Annotated movies with the features of `Detections.from_movie`.
        window: Number of frames; a tenth of the windows are shorter, as are those of short movies.
        max_cells: Largest number of cells in a window.
        strides: Relative frequency of each temporal stride.
        augmentation: Random changes, or None for none.
        seed: Seed of the whole sequence.
        view: How the model sees movies.
        max_gap: How many frames before a cell its `earlier` ancestors are given.
        simulated: Makes windows that come from no movie, or None.
        simulated_share: Share of these among the windows; all, where there is no movie.
    """

    movies: Sequence[AnnotatedMovie]
    window: int = 4
    max_cells: int = 200
    strides: dict[int, float] = field(default_factory=lambda: dict(DEFAULT_STRIDES))
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = 0
    view: ModelView = field(default_factory=ModelView)
    max_gap: int = 1
    simulated: SimulatedWindows | None = None
    simulated_share: float = 0.5

    def __post_init__(self) -> None:
        if not self.movies and self.simulated is None:
            raise InputError("training needs at least one movie, or simulated windows")
        if self.window < 2 or self.max_cells < 2:
            raise InputError(
                f"windows need at least 2 frames and 2 cells, got {self.window} and {self.max_cells}"
            )
        for movie in self.movies:
            Window.of_movie(movie, self.view)  # refuses movies without features
            if movie.detections.n_frames < 2 or not movie.has_target.any():
                raise InputError(
                    f"{movie.name} has no daughter to learn from: it needs two frames with cells"
                )

    def __getitem__(self, index: int) -> Window:
        rng = np.random.default_rng([self.seed, index])
        share = 0.0 if self.simulated is None else self.simulated_share if self.movies else 1.0
        is_simulated = rng.random() < share if share else False  # windows of movies alone stay what they were
        for _ in range(100):
            if is_simulated and self.simulated is not None:
                length = self.window if rng.random() < 0.9 else int(rng.integers(2, self.window + 1))
                window = self.simulated.draw(rng, length, self.max_cells, self.max_gap)
            else:
                movie = self.movies[int(rng.integers(len(self.movies)))]
                window = self._crop(self._cut(movie, rng), rng)
            if self.augmentation is not None:
                window = self.augmentation(window, rng)
            if window.has_target.any():
                return window.without_common_motion() if self.view.without_common_motion else window
        raise InputError("no window with a daughter was found in 100 draws; are most frames empty?")

    def _cut(self, movie: AnnotatedMovie, rng: np.random.Generator) -> Window:
        """A few frames at a random stride."""
        n_frames = movie.detections.n_frames
        strides = [stride for stride in self.strides if stride < n_frames]
        weights = np.array([self.strides[stride] for stride in strides])
        stride = int(rng.choice(strides, p=weights / weights.sum()))
        longest = min(self.window, (n_frames - 1) // stride + 1)
        length = longest if rng.random() < 0.9 else int(rng.integers(2, longest + 1))
        start = int(rng.integers(n_frames - (length - 1) * stride))
        span = movie.frames(start, start + (length - 1) * stride + 1)
        return Window.of_movie(span.strided(stride), self.view, max_gap=self.max_gap)

    def _crop(self, window: Window, rng: np.random.Generator) -> Window:
        """A box around a random cell that holds at most `max_cells` cells."""
        limit = self.max_cells if rng.random() < 0.7 else int(rng.uniform(0.3, 1) * self.max_cells)
        if len(window) <= limit:
            return window
        centre = window.coords[rng.integers(len(window))]
        aspect = np.exp(rng.uniform(-0.4, 0.4, window.coords.shape[1]))
        distance = (np.abs(window.coords - centre) * aspect).max(axis=1)
        nearest = np.argpartition(distance, limit - 1)[:limit]
        return window.subset(np.sort(nearest))
