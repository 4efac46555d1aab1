"""Fit temperature and event scores with Lightning, for those whose experiments run in it."""

import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from torchtrack_uq.calibration.event_fit import COEFFICIENT_WIDTH, EventFit, finish_events, objective_of
from torchtrack_uq.calibration.gaussian_prior import GaussianPrior
from torchtrack_uq.calibration.objective import PRIOR_WIDTH
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.layers import UncertaintyLayer

_SETTLED = 1e-6
"""Nats a daughter that an epoch may still gain once the fit is done. (Not the gradient: where divisions are as cheap as
they may be, the optimum may be a kink.)"""


class EventModule(pl.LightningModule):
    """Fits a layer's temperature and event scores by the joint likelihood, over all movies at once, as `fit_events`.

    Args:
        layer: Method, temperature and `events`.
        movies: Annotated movies.
        prior: See `fit_events`; the fit starts from its mean.
        prior_width: See `fit_events`.
        offset_width: See `fit_events`.
        coefficient_width: See `fit_events`.

    Attributes:
        fit_result: The `EventFit`, once the trainer is done.

    Warns:
        CalibrationWarning: As `fit_events`.

    Raises:
        InputError: As `fit_events`.

    >>> trainer = pl.Trainer(max_epochs=5, logger=False, enable_checkpointing=False)  # doctest: +SKIP
    >>> trainer.fit(EventModule(layer, movies))  # doctest: +SKIP
    """

    def __init__(
        self,
        layer: UncertaintyLayer,
        movies: Sequence[ScoredMovie],
        *,
        prior: GaussianPrior | None = None,
        prior_width: float | None = PRIOR_WIDTH,
        offset_width: float | None = 10.0,
        coefficient_width: float | None = COEFFICIENT_WIDTH,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.objective = objective_of(layer, movies, prior_width, offset_width, coefficient_width, prior)
        if prior is not None:
            self.objective.start_at_prior()
        self.fit_result: EventFit | None = None
        self._before = math.inf

    def train_dataloader(self) -> DataLoader[Any]:
        """One item an epoch: the loss is over all movies at once."""
        return DataLoader([0])  # type: ignore[arg-type]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """LBFGS on log T and the event scores; the rest of the layer is not touched."""
        return torch.optim.LBFGS(
            self._parameters_to_fit,
            max_iter=20,
            tolerance_grad=1e-6,
            tolerance_change=1e-9,
            line_search_fn="strong_wolfe",
        )

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """The objective at the present temperature and event scores."""
        loss = self.objective.loss().to(self.device)
        self.log("loss", loss.detach().float(), prog_bar=True)
        return loss

    def on_train_epoch_start(self) -> None:
        """Remember where the epoch began."""
        self._before = self._now()

    def on_train_end(self) -> None:
        """Report, and warn where the last epoch still gained."""
        self.fit_result = finish_events(self.objective, self._before - self._now() < _SETTLED)

    @torch.no_grad()
    def _now(self) -> float:
        return float(self.objective.loss())

    @property
    def _parameters_to_fit(self) -> list[Tensor]:
        return list(self.objective.parameters.values())
