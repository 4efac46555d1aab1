"""Trackastra model folders, read and written: the only place that imports trackastra."""

import hashlib
import io
import logging
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from torch import nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import write_together
from torchtrack_uq.utils.optional import import_optional

_FILES = ("config.yaml", "train_config.yaml", "model.pt")
FORMAT = "torchtrack-uq model 1"
"""In `train_config.yaml` of folders that are written here; Trackastra's own have none, nor had earlier ones."""


def import_trackastra() -> ModuleType:
    """Import `trackastra.model` without its side effects.

    The import sets environment variables, gives the root logger a handler at level INFO and changes the
    warning filters; all of that is put back.
    """
    environment = dict(os.environ)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = import_optional("trackastra.model", "trackastra", "the trackastra tracker")
        import_optional("trackastra.model.pretrained", "trackastra", "the trackastra tracker")
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    return model


def load_folder(folder: Path) -> Any:
    """Load a model folder as `trackastra.model.Trackastra`, on the CPU.

    Raises:
        InputError: The folder or one of its files is missing, or cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no model folder; expected one that holds {', '.join(_FILES)}")
    for name in _FILES:
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}; a Trackastra model folder holds {', '.join(_FILES)}")
    model = import_trackastra()
    try:
        # Not TrackingTransformer.from_folder, which leaves its files open.
        transformer = model.TrackingTransformer.create(yaml.safe_load((folder / "config.yaml").read_text()))
        transformer.load_state_dict(_read_weights(folder / "model.pt"))
        train_args = yaml.safe_load((folder / "train_config.yaml").read_text())
        features = train_args["features"]
    except Exception as error:  # whatever a damaged pickle, YAML or configuration raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the model in {folder} cannot be loaded, its files are damaged or foreign: {reason}"
        ) from error
    written = train_args.get("format", FORMAT)
    if written != FORMAT:
        raise InputError(
            f"the model in {folder} is in the format {written!r}; expected {FORMAT!r}: use the version that wrote it"
        )
    bad = [name for name, value in transformer.state_dict().items() if not torch.isfinite(value).all()]
    if bad:
        raise InputError(f"the model in {folder} holds NaN or infinite weights, the first in {bad[0]}")
    logging.getLogger(__name__).debug("loaded %s with features %s", folder, features)
    return model.Trackastra(transformer=transformer, train_args=train_args, device="cpu")


def _read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Weights of a model, also from a Lightning checkpoint, in which they are called `model.*`."""
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    if "state_dict" in state:
        prefix = "model."
        state = {k.removeprefix(prefix): v for k, v in state["state_dict"].items() if k.startswith(prefix)}
    return state


def download_model(name: str, download_dir: Path | None = None) -> Path:
    """Folder of a published model, downloaded by trackastra itself if it is not there yet.

    Raises:
        InputError: Unknown name, or no network.
    """
    pretrained = import_trackastra().pretrained
    known = sorted(pretrained._MODELS)
    if name not in known:
        raise InputError(
            f"{name!r} is neither a model folder nor a published model; published are {', '.join(known)}"
        )
    try:
        folder: Path = pretrained.download_pretrained(name, download_dir)
    except (OSError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors
        raise InputError(
            f"the published model {name!r} is not on this machine and cannot be downloaded "
            f"({type(error).__name__}); connect to the internet, or give a model folder such as checkpoints/small_2d"
        ) from error
    return folder


def save_trackastra_folder(model: Any, folder: Path, training: Mapping[str, Any]) -> None:
    """Save a model so that `trackastra.model.Trackastra.from_folder(folder)` loads it.

    Args:
        model: A `trackastra.model.TrackingTransformer`.
        folder: Gets `config.yaml`, `train_config.yaml` and, last, `model.pt`.
        training: How it was trained: plain numbers, texts and lists. Trackastra reads `features` from it,
            which is set to "wrfeat"; `format` is set as well.
    """
    weights = io.BytesIO()
    torch.save({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}, weights)
    described = {**training, "features": "wrfeat", "format": FORMAT}
    write_together(
        {
            folder / "config.yaml": yaml.safe_dump(dict(model.config)).encode(),
            folder / "train_config.yaml": yaml.safe_dump(described).encode(),
            folder / "model.pt": weights.getvalue(),
        }
    )


def weights_digest(model: nn.Module) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a model's weights and their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
