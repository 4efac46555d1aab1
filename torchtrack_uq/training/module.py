"""The Lightning module that trains a Trackastra model by the daughter-wise likelihood."""

import math
import time
from contextlib import nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from torchtrack_uq.trackers.trackastra.attention import has_one_mask, one_attention_mask
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads
from torchtrack_uq.trackers.trackastra.folder import import_trackastra
from torchtrack_uq.training.initialise import initialise_as_nearest
from torchtrack_uq.training.loss import candidate_mask, link_nll
from torchtrack_uq.training.settings import RunSettings, TrainingSettings

_SHARE_OF_GAPS = 0.5
"""What links over gaps count in the loss: they are few, and harder."""


def build_model(settings: TrainingSettings) -> Any:
    """A freshly initialised `TrackingTransformer`; the same for the same seed."""
    transformer = import_trackastra().TrackingTransformer
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = transformer(**settings.model_config())
        if not settings.random_start:
            initialise_as_nearest(model)
    return model


class LinkScorer(pl.LightningModule):
    """Fits a model's logits to the true mothers: AdamW, warm-up, cosine, clipped gradients, averaged weights.

    Attributes:
        model: The `TrackingTransformer` in training.
        averaged: Running average of its weights.
    """

    def __init__(self, model: Any, settings: RunSettings) -> None:
        super().__init__()
        self.settings = settings
        self.model = model
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging))  # type: ignore[no-untyped-call]
        self._one_mask = has_one_mask(model.eval())
        model.train()
        self.mean_loss = 0.0
        self._seconds_before = 0.0
        self._started: float | None = None

    @property
    def averaged_model(self) -> Any:
        """The model with averaged weights."""
        return self.averaged.module

    @property
    def seconds(self) -> float:
        """Time spent in training, interrupted runs included."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._seconds_before + running

    @property
    def progress(self) -> float:
        """Share of the budget that is used: of the steps or of the minutes, whichever is larger."""
        steps, minutes = self.settings.steps, self.settings.minutes
        of_time = 0.0 if minutes is None else self.seconds / (60 * minutes)
        return min(1.0, max(self.global_step / steps, of_time))

    def learnt(self) -> dict[str, Any]:
        """What was learnt beside the model's weights, in plain numbers and texts for its description."""
        return {}

    def learning_rate_now(self) -> float:
        """Linear warm-up over `warmup_steps`, then a cosine from the highest rate down to 0."""
        warmup = min(1.0, (self.global_step + 1) / max(1, self.settings.warmup_steps))
        return self.settings.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * self.progress))

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, N, N) of a batch from `collate_windows`; a third faster than the model alone, where one mask does."""
        with one_attention_mask(self.model) if self._one_mask else nullcontext():
            logits: Tensor = self.model(
                batch["coords"], features=batch["features"], padding_mask=batch["padding_mask"]
            )
        return logits

    def events_to_save(self) -> EventHeads | None:
        """Heads for events that belong to the averaged model, None for none."""
        return None

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Daughter-wise negative log-likelihood of a batch from `collate_windows`."""
        coords, timepoints = batch["coords"], batch["timepoints"]
        logits = self.logits(batch)
        cutoff = self.model.config["spatial_pos_cutoff"]
        loss = link_nll(logits, candidate_mask(coords, timepoints, cutoff), batch["mother"], batch["weight"])
        n_gaps = batch["earlier"].shape[-1]
        for k in range(n_gaps):
            candidates = candidate_mask(coords, timepoints, cutoff, gap=k + 2)
            earlier, weight = batch["earlier"][..., k], batch["earlier_weight"][..., k]
            loss = loss + _SHARE_OF_GAPS / n_gaps * link_nll(logits, candidates, earlier, weight)
        return loss

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """One step's loss."""
        loss = self.loss(batch)
        recent = 0.99 if self.global_step else 0.0
        self.mean_loss = recent * self.mean_loss + (1 - recent) * float(loss.detach())
        return loss

    def on_train_start(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Set this step's learning rate."""
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate_now() * group.get("factor", 1.0)

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Tensor], batch_index: int) -> None:
        """Stop when the budget is used up."""
        if self.progress >= 1:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW with weight decay on matrices only."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim == 2]
        others = [p for p in trained if p.ndim != 2]
        groups = [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=(0.9, 0.98))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the step and average the weights."""
        super().optimizer_step(*args, **kwargs)
        self.averaged.update_parameters(self.model)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the clock and the running loss."""
        checkpoint["link_scorer"] = {"seconds": self.seconds, "mean_loss": self.mean_loss}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clock and the running loss."""
        self._seconds_before = float(checkpoint["link_scorer"]["seconds"])
        self.mean_loss = float(checkpoint["link_scorer"]["mean_loss"])
