"""Training windows for Lightning: step s of a run always sees the same windows."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from torchtrack_uq.training.batch import collate_windows
from torchtrack_uq.training.sampler import WindowSampler


class WindowDataModule(pl.LightningDataModule):
    """Batches of windows up to a number of steps; use with `reload_dataloaders_every_n_epochs=1`.

    A run that resumes at step s gets the windows that an uninterrupted run would have got, whatever Lightning
    counts as an epoch.

    Args:
        sampler: The windows.
        batch_size: Windows in a batch.
        steps: Batches in the whole run.
        pack_apart: Distance between windows that share a row, see `collate_windows`.
    """

    def __init__(self, sampler: WindowSampler, batch_size: int, steps: int, pack_apart: float) -> None:
        super().__init__()
        self.sampler, self.batch_size, self.steps, self.pack_apart = sampler, batch_size, steps, pack_apart

    def train_dataloader(self) -> DataLoader[Any]:
        """The windows from the trainer's current step on."""
        done = 0 if self.trainer is None else self.trainer.global_step
        return DataLoader(
            self.sampler,
            batch_size=self.batch_size,
            sampler=range(done * self.batch_size, self.steps * self.batch_size),
            collate_fn=partial(collate_windows, pack_apart=self.pack_apart),
        )
