"""Settings of a training run and of the model it trains."""

from dataclasses import dataclass
from typing import Any, Literal

from torchtrack_uq.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What every run has: its budget, its windows and its optimiser.

    Attributes:
        steps: Optimiser steps.
        minutes: Time budget, or None; the learning rate reaches 0 when either steps or minutes are used up.
            Only runs without it can be repeated exactly.
        seed: Seed of the initial weights and of the windows.
        held_out: Share of each movie, its last frames, that is never trained on.
        batch_size: Windows in a step.
        max_cells: Cells in a window, at most.
        learning_rate: Highest learning rate, reached after `warmup_steps`.
        warmup_steps: Steps of linear warm-up; a cosine down to 0 follows.
        weight_decay: Of AdamW, on weight matrices only.
        averaging: Decay of the running average of the weights, which is what gets validated and saved.
        validate_every: Steps between checkpoints, each with a quick validation.

    Raises:
        InputError: A value out of its range.
    """

    steps: int = 20_000
    minutes: float | None = None
    seed: int = 0
    held_out: float = 0.2
    batch_size: int = 8
    max_cells: int = 160
    learning_rate: float = 6e-4
    warmup_steps: int = 500
    weight_decay: float = 0.01
    averaging: float = 0.999
    validate_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "max_cells", "learning_rate", "validate_every"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        if self.minutes is not None and self.minutes <= 0:
            raise InputError(f"minutes must be positive, got {self.minutes}")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out must be at least 0 and below 1, got {self.held_out}")
        if not 0 <= self.averaging < 1:
            raise InputError(f"averaging must be at least 0 and below 1, got {self.averaging}")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(RunSettings):
    """Everything that decides what a run from scratch computes; see `RunSettings` for the rest.

    Attributes:
        window: Frames that the model sees at once.
        d_model: Width of the embeddings.
        n_heads: Attention heads.
        n_layers: Encoder layers, and as many decoder layers.
        dropout: In attention.
        spatial_cutoff: Links longer than this many pixels are no candidates.
        random_start: Initialise at random, as Trackastra does, rather than as a nearest-centroid linker.
        ndim: Spatial dimensions, 2 or 3.
        max_gap: Longest links that the model learns, in frames.
        usual_diameter: Median diameter of cells in pixels of the model: every movie is scaled to it.
        usual_spacing: Median distance of nearest neighbours, for movies whose cells have no size.
        simulated: Share of simulated windows (`SimulatedWindows`).
        points: Share of windows whose cells lose their features; above 0, the model takes points as well.
        common_motion: Leave the motion that neighbours have in common in the windows; by default it is taken out, here
            and wherever the model is used.
    """

    window: int = 4
    d_model: int = 128
    n_heads: int = 4
    n_layers: int = 2
    dropout: float = 0.0
    spatial_cutoff: int = 256
    random_start: bool = False
    ndim: int = 2
    max_gap: int = 2
    usual_diameter: float = 24.0
    usual_spacing: float = 30.0
    simulated: float = 0.5
    points: float = 0.0
    common_motion: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_layers <= 0:
            raise InputError(f"n_layers must be positive, got {self.n_layers}")
        if self.window < 2:
            raise InputError(f"window must be at least 2 frames, got {self.window}")
        if self.ndim not in (2, 3):
            raise InputError(f"ndim must be 2 or 3, got {self.ndim}")
        if not 1 <= self.max_gap < self.window:
            raise InputError(
                f"max_gap must be at least 1 and below the window of {self.window}, got {self.max_gap}"
            )
        for name in ("simulated", "points"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be at least 0 and at most 1, got {getattr(self, name)}")
        for name in ("usual_diameter", "usual_spacing"):
            if not 0 < getattr(self, name) < 1e6:
                raise InputError(f"{name} must be a positive number of pixels, got {getattr(self, name)}")
        least = 32 * self.ndim + 8
        if self.d_model % (2 * self.n_heads) or self.d_model < least:
            raise InputError(
                f"d_model must be at least {least} and a multiple of {2 * self.n_heads} (twice the heads), "
                f"got {self.d_model}"
            )

    def model_config(self) -> dict[str, Any]:
        """Arguments of `trackastra.model.TrackingTransformer` with `wrfeat` features."""
        return {
            "coord_dim": self.ndim,
            "feat_dim": 3 + self.ndim**2,
            "d_model": self.d_model,
            "nhead": self.n_heads,
            "num_encoder_layers": self.n_layers,
            "num_decoder_layers": self.n_layers,
            "dropout": self.dropout,
            "pos_embed_per_dim": 32,
            "feat_embed_per_dim": 8,
            "window": self.window,
            "spatial_pos_cutoff": self.spatial_cutoff,
            "attn_positional_bias": "rope",
            "causal_norm": "quiet_softmax",
            "attn_dist_mode": "v1",
        }


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings(RunSettings):
    """Everything that decides what fine-tuning through the layer computes; see `RunSettings` for the rest.

    Attributes:
        loss: "joint": -log p of the true assignment of each frame pair; "daughters": -log P(true mother) of each
            daughter.
        train: "all" weights of the transformer, its two output "heads" alone, or "events": heads that score the
            events of cells from its embeddings (`EventHeads`), which it gets if it has none, and nothing else.
        max_gap: Longest links, in frames; up to what the model was trained on.
        simulated: Share of simulated windows (`SimulatedWindows`), for models with a usual size.
        method: The layer's method; by default "auto" for the joint loss and "SM" for daughters.
        learn_events: Learn one score each for appearing, disappearing and dividing (`EventOffsets`).
        learn_temperature: Learn T as well. With train="all" the weights can make up for any T.
        scale_factor: Learning rate of event scores and log T, relative to that of the weights: they are single
            numbers in nats and have farther to go.
        max_candidates: Mothers of highest score that compete for each daughter, beside the true one.
        precision: "32", "bf16" or "16" (autocast); "auto" is bf16 on a GPU and 32 elsewhere.
    """

    steps: int = 4000
    batch_size: int = 8
    learning_rate: float = 1e-4
    warmup_steps: int = 100
    averaging: float = 0.99
    validate_every: int = 500
    loss: Literal["joint", "daughters"] = "joint"
    train: Literal["all", "heads", "events"] = "all"
    max_gap: int = 1
    simulated: float = 0.0
    method: str | None = None
    learn_events: bool = False
    learn_temperature: bool = False
    scale_factor: float = 30.0
    max_candidates: int = 16
    precision: Literal["auto", "32", "bf16", "16"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.max_gap < 1:
            raise InputError(f"max_gap must be at least 1, got {self.max_gap}")
        if not 0 <= self.simulated <= 1:
            raise InputError(f"simulated must be at least 0 and at most 1, got {self.simulated}")
        for name in ("scale_factor", "max_candidates"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def layer_method(self) -> str:
        """The layer's method, the loss's own one if none was chosen."""
        return self.method or ("auto" if self.loss == "joint" else "SM")


_CHOICES = {
    "loss": ("joint", "daughters"),
    "train": ("all", "heads", "events"),
    "precision": ("auto", "32", "bf16", "16"),
}
