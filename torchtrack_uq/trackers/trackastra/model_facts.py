"""What a model says of itself, in its configuration and in how it was trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.trackastra.config_checks import check_config
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads
from torchtrack_uq.trackers.trackastra.view import VIEW, ModelView

KEPT = "trained_on"
"""Attribute of a transformer that was read from a folder: what its `train_config.yaml` says of how it sees movies.

Whoever takes the transformer out of its wrapper does not lose the size that it knows cells in.
"""


@dataclass(frozen=True)
class ModelFacts:
    """A Trackastra model and what it was trained on.

    Attributes:
        transformer: The `TrackingTransformer`.
        delta_cutoff: Longest links that it was trained on, in frames; 1 where nothing says so.
        view: How it sees movies.
        event_heads: What scores events from its embeddings, or None.
    """

    transformer: nn.Module
    delta_cutoff: int
    view: ModelView
    event_heads: EventHeads | None

    @classmethod
    def of(cls, model: Any) -> "ModelFacts":
        """Of a `trackastra.model.Trackastra` or a bare `TrackingTransformer`.

        Raises:
            InputError: It is neither, needs features that are not measured here, or says something that cannot be.
        """
        transformer = getattr(model, "transformer", model)
        if not isinstance(transformer, nn.Module) or not hasattr(transformer, "config"):
            raise InputError(
                f"model is a {type(model).__name__}; expected a trackastra.model.Trackastra or TrackingTransformer"
            )
        config = cast("dict[str, Any]", transformer.config)
        trained = {**getattr(transformer, KEPT, {}), **getattr(model, "train_args", {})}
        kind = trained.get("features", "wrfeat")
        if "pretrained_feat_dim" in config or str(kind).startswith("pretrained"):
            raise InputError(
                "this model needs image embeddings (trackastra[etultra]), which are not supported; "
                "use a model trained with features 'wrfeat', such as general_2d"
            )
        check_config(config, trained)
        longest = min(_delta_cutoff(trained), config["window"] - 1)
        heads = getattr(model, "event_heads", None)
        return cls(transformer, longest, ModelView.of_model(trained), heads)


def keep_facts(transformer: nn.Module, train_args: Mapping[str, Any]) -> None:
    """Let a transformer know how it sees movies, as its `train_config.yaml` says."""
    names = ("delta_cutoff", *VIEW)
    setattr(transformer, KEPT, {name: train_args[name] for name in names if name in train_args})


def _delta_cutoff(trained: Mapping[str, Any]) -> int:
    """Over how many frames the links went that a model was trained on; 1 where its training does not say."""
    said = trained.get("delta_cutoff", 1)
    if isinstance(said, bool) or not isinstance(said, int) or said < 1:
        raise InputError(
            f"the model's train_config.yaml says delta_cutoff: {said!r}; expected a whole number of frames, at least 1"
        )
    return said
