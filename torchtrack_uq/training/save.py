"""Write a Trackastra model folder so that no reader ever finds half a file."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from torchtrack_uq.atomic import write_atomically


def save_trackastra_folder(model: Any, folder: Path, training: Mapping[str, Any]) -> None:
    """Save a model so that `trackastra.model.Trackastra.from_folder(folder)` loads it.

    Args:
        model: A `trackastra.model.TrackingTransformer`.
        folder: Gets `config.yaml`, `train_config.yaml` and, last, `model.pt`.
        training: How it was trained: plain numbers, texts and lists. Trackastra reads `features` from it,
            which is set to "wrfeat".
    """
    weights = io.BytesIO()
    torch.save({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}, weights)
    write_atomically(folder / "config.yaml", yaml.safe_dump(dict(model.config)).encode())
    write_atomically(
        folder / "train_config.yaml", yaml.safe_dump({**training, "features": "wrfeat"}).encode()
    )
    write_atomically(folder / "model.pt", weights.getvalue())
