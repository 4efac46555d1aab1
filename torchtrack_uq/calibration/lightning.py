"""Fit a temperature with Lightning, for those whose experiments run in it."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from torchtrack_uq.calibration.objective import LARGEST, PRIOR_WIDTH, SMALLEST, TemperatureObjective
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.calibration.temperature_fit import TemperatureFit, finish, scan
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import UncertaintyLayer

Optimizer = Literal["lbfgs", "adam"]


class TemperatureModule(pl.LightningModule):
    """Fits a layer's temperature by the negative log-likelihood of the true mothers, over all movies at once.

    Before the first step a scan of T in [0.01, 100] picks the valley to descend into, so that the result does not
    depend on where the layer starts.

    Args:
        layer: Method and temperature.
        movies: Annotated movies.
        prior_width: See `fit_temperature`.
        optimizer: "lbfgs" (with a line search), or "adam".
        learning_rate: Of Adam, in log T; falls by 4 % a step, so that 150 steps settle.
        cautious: See `fit_temperature`.

    Attributes:
        fit_result: The `TemperatureFit`, once the trainer is done.

    Raises:
        InputError: An unknown optimiser, or nothing to fit on.

    >>> trainer = pl.Trainer(max_epochs=20, logger=False, enable_checkpointing=False)  # doctest: +SKIP
    >>> trainer.fit(TemperatureModule(layer, movies))  # doctest: +SKIP
    """

    def __init__(
        self,
        layer: UncertaintyLayer,
        movies: Sequence[ScoredMovie],
        *,
        prior_width: float | None = PRIOR_WIDTH,
        optimizer: Optimizer = "lbfgs",
        learning_rate: float = 0.1,
        cautious: bool = False,
    ) -> None:
        super().__init__()
        if optimizer not in ("lbfgs", "adam"):
            raise InputError(f"optimizer must be lbfgs or adam, got {optimizer!r}")
        self.layer = layer
        self.objective = TemperatureObjective(layer, movies, prior_width)
        self.optimizer_name, self.learning_rate = optimizer, learning_rate
        self.cautious = cautious
        self.fit_result: TemperatureFit | None = None

    def train_dataloader(self) -> DataLoader[Any]:
        """One item an epoch: the loss is over all movies at once."""
        return DataLoader([0])  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        """LBFGS or Adam on log T alone; the rest of the layer is not touched."""
        parameter = [self.layer.scaler.raw_temperature]
        if self.optimizer_name == "adam":
            adam = torch.optim.Adam(parameter, lr=self.learning_rate)
            return [adam], [torch.optim.lr_scheduler.ExponentialLR(adam, 0.96)]
        return torch.optim.LBFGS(
            parameter, max_iter=20, tolerance_grad=1e-7, tolerance_change=1e-10, line_search_fn="strong_wolfe"
        )

    def on_fit_start(self) -> None:
        """Enter the deepest valley that a scan sees."""
        grid, value = scan(self.objective)
        self.layer.scaler.temperature = math.exp(float(grid[int(np.argmin(value))]))

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """The objective at the present temperature."""
        loss = self.objective.loss().to(self.device)
        self.log("nll", loss.detach().float(), prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        """Keep T within its bounds."""
        with torch.no_grad():
            self.layer.scaler.raw_temperature.clamp_(math.log(SMALLEST), math.log(LARGEST))

    def on_train_end(self) -> None:
        """Report, and warn where T ran to a bound."""
        self.fit_result = finish(
            self.layer, self.objective, float(self.layer.scaler.raw_temperature.detach()), self.cautious
        )
