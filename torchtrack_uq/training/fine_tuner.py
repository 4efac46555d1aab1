"""The Lightning module that fine-tunes a Trackastra model through the uncertainty layer."""

import logging
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.assignment_posterior import POSTERIOR_METHODS
from torchtrack_uq.layers.event_offsets import EventOffsets
from torchtrack_uq.layers.likelihood import LayerLoss, daughters_nll, joint_nll
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads, captured_embeddings
from torchtrack_uq.training.module import LinkScorer
from torchtrack_uq.training.settings import FineTuningSettings
from torchtrack_uq.training.window_graph import window_graph

_logger = logging.getLogger(__name__)
_SUPPORTED = {"coord_dim": (2, 3), "feat_dim": (7, 12), "causal_norm": ("quiet_softmax", "none")}
_LEFT_OUT = ("n_unreachable", "n_crowded", "n_impossible")


class LayerFineTuner(LinkScorer):
    """Fits a Trackastra model so that the layer's probabilities of annotated links are high.

    Batches are those of `WindowDataModule`. Optimiser, schedule, averaged weights and checkpoints are `LinkScorer`'s.

    Args:
        tracker_or_model: A `TrackastraTracker`, a `trackastra.model.Trackastra` or a bare `TrackingTransformer`, 2D
            with Trackastra's features. It is changed in place and
            left in training mode.
        layer: The layer, its temperature and event offsets changed in place if they are learnt; by default one of
            `settings.layer_method`, with offsets if these are to be learnt.
        settings: What to compute.

    Attributes:
        model: The transformer in training.
        layer: The layer.
        left_out: What the losses so far had to leave out, by name (see `LayerLoss`).

    Raises:
        InputError: A model or a method that cannot be trained this way.
    """

    def __init__(
        self,
        tracker_or_model: Any,
        layer: UncertaintyLayer | None = None,
        settings: FineTuningSettings | None = None,
    ) -> None:
        settings = settings or FineTuningSettings()
        if layer is None:
            events = EventOffsets() if settings.learn_events else None
            layer = UncertaintyLayer(settings.layer_method, events=events)
        model = getattr(tracker_or_model, "transformer", tracker_or_model)
        _check(model, layer, settings)
        model.train()
        super().__init__(model, settings)
        self.layer = layer
        for name, parameter in model.named_parameters():
            chosen = settings.train == "heads" and name.startswith("head_")
            parameter.requires_grad_(settings.train == "all" or chosen)
        heads: EventHeads | None = getattr(tracker_or_model, "event_heads", None)
        if settings.train == "events" and heads is None:
            heads = EventHeads(model.config["d_model"])
        if heads is not None:
            heads.requires_grad_(settings.train != "heads")
            heads.train()
        self.event_heads = heads
        average: Any = get_ema_multi_avg_fn(settings.averaging)  # type: ignore[no-untyped-call]
        self.averaged_heads = None if heads is None else AveragedModel(heads, multi_avg_fn=average)
        layer.scaler.raw_temperature.requires_grad_(settings.learn_temperature)
        scales = nn.ModuleDict({"scaler": layer.scaler})
        if layer.events is not None:
            scales["events"] = layer.events.requires_grad_(settings.learn_events)
        self.scales = scales
        self.averaged_scales = AveragedModel(scales, multi_avg_fn=average)
        self.left_out = dict.fromkeys(_LEFT_OUT, 0)

    def loss_of(self, batch: dict[str, Tensor]) -> LayerLoss:
        """The loss of a batch and what it is about."""
        settings: FineTuningSettings = self.settings  # type: ignore[assignment]
        frozen = settings.train == "events"
        with torch.no_grad() if frozen else nullcontext(), captured_embeddings(self.model) as found:
            logits = self.logits(batch)
        events = None if self.event_heads is None else self.event_heads(**found)
        cutoff = self.model.config["spatial_pos_cutoff"]
        graph, targets = window_graph(
            logits, batch, cutoff, settings.max_candidates, max_gap=settings.max_gap, events=events
        )
        nll = joint_nll if settings.loss == "joint" else daughters_nll
        return nll(self.layer, graph, targets)

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Negative log-likelihood per daughter, through the layer.

        Raises:
            InputError: It is not a number.
        """
        found = self.loss_of(batch)
        if not bool(torch.isfinite(found.loss)):
            raise InputError(
                f"the loss is {float(found.loss)} at step {self.global_step}; lower the learning rate"
            )
        self._count(found)
        return found.loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As `LinkScorer`, and the scales at a higher rate without decay."""
        optimizer = super().configure_optimizers()
        if self.event_heads is not None:
            trained = [p for p in self.event_heads.parameters() if p.requires_grad]
            if trained:
                optimizer.add_param_group({"params": trained, "weight_decay": self.settings.weight_decay})
        learnt = [p for p in self.scales.parameters() if p.requires_grad]
        if learnt:
            factor = self.settings.scale_factor  # type: ignore[attr-defined]
            optimizer.add_param_group({"params": learnt, "weight_decay": 0.0, "factor": factor})
        return optimizer

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the step, keep second daughters no likelier than first ones, average weights and scales."""
        super().optimizer_step(*args, **kwargs)
        if self.layer.events is not None:
            _keep_convex(self.layer.events)
        self.averaged_scales.update_parameters(self.scales)
        if self.averaged_heads is not None and self.event_heads is not None:
            self.averaged_heads.update_parameters(self.event_heads)

    def events_to_save(self) -> EventHeads | None:
        """The averaged heads."""
        heads: Any = None if self.averaged_heads is None else self.averaged_heads.module
        return cast("EventHeads | None", heads)

    def learnt(self) -> dict[str, Any]:
        """Method, temperature and event scores (averaged, as the saved weights are), and what was left out."""
        scales: Any = self.averaged_scales.module
        found: dict[str, Any] = {
            "method": self.layer.method,
            "temperature": float(scales["scaler"].temperature.detach()),
        }
        if self.layer.events is not None:
            found |= scales["events"].values
        return {"layer": found, **self.left_out}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counts as well."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["link_scorer"]["left_out"] = dict(self.left_out)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts as well."""
        super().on_load_checkpoint(checkpoint)
        self.left_out = dict(checkpoint["link_scorer"]["left_out"])

    def _count(self, found: LayerLoss) -> None:
        for name, text in zip(_LEFT_OUT, _EXPLAINED, strict=True):
            number = getattr(found, name)
            if number and not self.left_out[name]:
                _logger.warning("left out of the loss from now on, and counted as %s: %s", name, text)
            self.left_out[name] += number


_EXPLAINED = (
    "daughters whose true mother is no candidate",
    "frame pairs in which a mother has more than two true daughters",
    "frame pairs in which a forbidden event is true",
)


@torch.no_grad()
def _keep_convex(events: EventOffsets) -> None:
    """Solvers refuse disappear + divide > 0; trackers whose scores are fine-tuned give events 0 themselves."""
    disappear, divide = events.get_parameter("disappear"), events.get_parameter("divide")
    excess = (disappear + divide).clamp(min=0) / 2
    disappear.sub_(excess)
    divide.sub_(excess)


def _check(model: Any, layer: UncertaintyLayer, settings: FineTuningSettings) -> None:
    if not isinstance(model, nn.Module) or not hasattr(model, "config"):
        raise InputError(
            f"{type(model).__name__} cannot be fine-tuned; expected a Trackastra model or tracker"
        )
    config: Any = model.config
    for name, supported in _SUPPORTED.items():
        if config[name] not in supported:
            wanted = " or ".join(map(str, supported))
            raise InputError(
                f"the model has {name} {config[name]}, but fine-tuning on windows needs {wanted}: "
                "train on `tracker.candidates` with `joint_nll` in a loop of your own (docs/training_loop.md)"
            )
    if settings.learn_events and layer.events is None:
        raise InputError("this layer has no event offsets to learn; make it with events=EventOffsets()")
    if layer.perturbation is not None:
        raise InputError(f"method {layer.method} needs scores under noise and cannot be trained through")
    if settings.loss == "joint" and layer.method not in POSTERIOR_METHODS:
        raise InputError(
            f"method {layer.method} has no joint likelihood; use one of {', '.join(POSTERIOR_METHODS)}, "
            "or the loss 'daughters'"
        )
