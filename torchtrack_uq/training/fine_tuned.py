"""Read back what fine-tuning through the layer saved."""

import os
from pathlib import Path
from typing import Any

import torch

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.event_offsets import OFFSETS, EventOffsets
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker
from torchtrack_uq.utils.yaml_file import read_yaml


def load_fine_tuned(
    folder: str | os.PathLike[str], device: str | torch.device | None = None
) -> tuple[TrackastraTracker, UncertaintyLayer]:
    """Load what `fine_tune` saved: the model, and its layer with learnt temperature and event offsets.

    Args:
        folder: A model folder whose `train_config.yaml` describes the layer.
        device: "auto", "cpu", "cuda".

    Raises:
        InputError: The folder is damaged or holds a model that was not fine-tuned through a layer.
    """
    tracker = TrackastraTracker.from_folder(folder, device=device)
    described: Any = read_yaml(Path(folder).expanduser() / "train_config.yaml").get("layer")
    if not isinstance(described, dict) or not {"method", "temperature"} <= described.keys():
        raise InputError(
            f"the model in {folder} was not fine-tuned through the layer; load it with load_model"
        )
    offsets = {name: described[name] for name in OFFSETS if name in described}
    try:
        events = EventOffsets(**offsets) if offsets else None
        return tracker, UncertaintyLayer(described["method"], described["temperature"], events=events)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(
            f"the layer in {folder} cannot be used: {error}; fine-tune the model again"
        ) from error
