"""Scored movies for Lightning: what a temperature is fitted on, split by sequence and never by link."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from torchtrack_uq.calibration.scored import ScoredMovie, score_movie
from torchtrack_uq.datasets.read import read_annotated, refuse_repeated
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.trackers.protocol import Tracker

SPLITS = ("train", "validation", "test")
_STAGES = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",)}

Paths = Sequence[str | os.PathLike[str]]
Item = TypeVar("Item")


class MovieDataModule(pl.LightningDataModule):
    """Annotated movies as `ScoredMovie` (scores and targets), one an item, scored once and kept in memory.

    Links of one movie resemble each other (the same cells, the same imaging), so a held-out link of a movie that
    was fitted on says little about the next movie: splits are by sequence, and a sequence in two splits is refused.

    Args:
        tracker: Scores the candidate links.
        layer: Says what scores its method needs: plain ones, or under noise.
        train: Sequence folders, see `torchtrack_uq.datasets.read_annotated`.
        validation: The same.
        test: The same.
        stride: Take every `stride`-th frame; several strides give one item for each.
        use_images: False ignores the images.
        progress: Show progress bars.

    Raises:
        InputError: A path is no annotated sequence, or a sequence stands in two splits or twice in one.
    """

    def __init__(
        self,
        tracker: Tracker,
        layer: UncertaintyLayer,
        *,
        train: Paths = (),
        validation: Paths = (),
        test: Paths = (),
        stride: int | Sequence[int] = 1,
        use_images: bool = True,
        progress: bool = True,
    ) -> None:
        super().__init__()
        self.tracker, self.layer = tracker, layer
        self.strides = (stride,) if isinstance(stride, int) else tuple(stride)
        self.use_images, self.progress = use_images, progress
        self.paths = dict(zip(SPLITS, (list(train), list(validation), list(test)), strict=True))
        self.movies: dict[str, list[ScoredMovie]] = {}
        refuse_repeated(self.paths)

    def setup(self, stage: str | None = None) -> None:
        """Score the movies of a stage ("fit", "validate", "test"; None for all), unless that was done before.

        Raises:
            InputError: A movie cannot be read or has no daughter to judge.
        """
        for split in SPLITS if stage is None else _STAGES.get(str(getattr(stage, "value", stage)), ()):
            if split not in self.movies:
                self.movies[split] = self._score(self.paths[split])

    def train_dataloader(self) -> DataLoader[ScoredMovie]:
        """Movies to fit on."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[ScoredMovie]:
        """Movies to choose by."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[ScoredMovie]:
        """Movies to report on."""
        return self._loader("test")

    def _loader(self, split: str) -> DataLoader[ScoredMovie]:
        if split not in self.movies:
            raise InputError(f"the {split} movies have not been scored yet; call setup() first")
        movies: Any = self.movies[split]  # a list is a dataset
        return DataLoader(movies, batch_size=None, collate_fn=_as_it_is)

    def transfer_batch_to_device(
        self, batch: ScoredMovie, device: torch.device, dataloader_idx: int
    ) -> ScoredMovie:
        """A movie on the trainer's device, with what was solved for it."""
        return batch.to(device, non_blocking=True)

    def _score(self, paths: list[str | os.PathLike[str]]) -> list[ScoredMovie]:
        scored: list[ScoredMovie] = []
        for stride in self.strides:
            for path in paths:
                read = read_annotated(path, stride, use_images=self.use_images, progress=self.progress)
                name = read.name + (f" stride {stride}" if stride > 1 else "")
                annotated = replace(read, name=name)
                movie = score_movie(annotated, self.tracker, self.layer, progress=self.progress)
                if not movie.targets.n_judged:
                    raise InputError(f"{name} has no cell whose mother is known; expected annotated movies")
                scored.append(movie)
        return scored


def _as_it_is(item: Item) -> Item:
    return item
