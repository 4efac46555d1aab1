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
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads
from torchtrack_uq.trackers.trackastra.model_facts import KEPT, keep_facts
from torchtrack_uq.utils.files import write_together
from torchtrack_uq.utils.optional import import_optional

EVENT_HEADS = "event_heads.pt"
_OF_HEADS = "event_heads"
"""In `train_config.yaml`: `weights_digest` of the model and its heads, which mean nothing beside other weights."""
_DIST_MODES = ("v0", "v1")
_LARGEST = 100_000
"""Number in a `config.yaml`."""
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
        config = yaml.safe_load((folder / "config.yaml").read_text())
        if not isinstance(config, dict):
            raise ValueError("config.yaml holds no names with values")
        weights = _read_weights(folder / "model.pt")
        _check_sizes(model.TrackingTransformer, config, weights)
        transformer = model.TrackingTransformer.create(config)
        transformer.load_state_dict(weights)
        train_args = yaml.safe_load((folder / "train_config.yaml").read_text())
        if not isinstance(train_args, dict) or "features" not in train_args:
            raise ValueError("train_config.yaml does not say which features the model was trained with")
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
    keep_facts(transformer, train_args)
    found = model.Trackastra(transformer=transformer, train_args=train_args, device="cpu")
    found.event_heads = _read_event_heads(folder, transformer, train_args.get(_OF_HEADS))
    return found


def _read_event_heads(folder: Path, transformer: Any, digest: str | None) -> EventHeads | None:
    """None where the model has none.

    Raises:
        InputError: They are missing, damaged, or of another model.
    """
    file = folder / EVENT_HEADS
    if digest is None and not os.path.lexists(file):
        return None
    if not file.is_file():
        raise InputError(
            f"{file} is {'no file' if os.path.lexists(file) else 'missing'}, but holds what the model in {folder} "
            f"knows of events; put it back, or take {_OF_HEADS} out of train_config.yaml to use the model without it"
        )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        heads = EventHeads(transformer.config["d_model"], len(state["of_daughter.1.bias"]))
        heads.load_state_dict(state)
    except Exception as error:  # whatever a damaged pickle raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the event heads in {file} cannot be loaded, they are damaged or foreign: {reason}"
        ) from error
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise InputError(f"the event heads in {file} hold NaN or infinite weights")
    if digest is not None and digest != weights_digest(transformer, heads):
        raise InputError(
            f"the event heads in {file} are not those that were trained on the weights in model.pt beside them; put "
            "back the files that were written together"
        )
    return heads


def _read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Weights of a model, also from a Lightning checkpoint, in which they are called `model.*`."""
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    if "state_dict" in state:
        prefix = "model."
        state = {k.removeprefix(prefix): v for k, v in state["state_dict"].items() if k.startswith(prefix)}
    return state


def _check_sizes(kind: Any, config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse a configuration that is not that of the weights, before a model as large as it says is made.

    Raises:
        ValueError: It is not.
    """
    layers = {
        f"num_{part}_layers": len({name.split(".")[1] for name in weights if name.startswith(f"{part}.")})
        for part in ("encoder", "decoder")
    }
    for name, found in layers.items():
        if config.get(name, found) != found:
            raise ValueError(
                f"config.yaml says {name} {str(config[name])[:30]}, but the weights are of {found}"
            )
    for name, value in config.items():
        if isinstance(value, int) and value > _LARGEST:
            raise ValueError(f"config.yaml says {name} {str(value)[:30]}; expected at most {_LARGEST}")
    mode = config.get("attn_dist_mode", _DIST_MODES[0])
    if mode not in _DIST_MODES:  # Trackastra notices when the model is used
        raise ValueError(f"config.yaml says attn_dist_mode {mode!r}; expected {' or '.join(_DIST_MODES)}")
    with torch.device("meta"):  # shapes alone
        wanted = kind.create(config).state_dict()
    for name, value in wanted.items():
        if name not in weights or weights[name].shape != value.shape:
            there = f"of shape {tuple(weights[name].shape)}" if name in weights else "missing"
            raise ValueError(f"config.yaml asks for {name} of shape {tuple(value.shape)}, but it is {there}")
        if not weights[name].is_floating_point():
            raise ValueError(f"{name} holds {weights[name].dtype}; expected floats")


def download_model(name: str, download_dir: Path | None = None) -> Path:
    """Folder of a published model, downloaded by trackastra itself if it is not there yet.

    Raises:
        InputError: Unknown name, or no network.
    """
    pretrained = import_trackastra().pretrained
    known = sorted(pretrained._MODELS)
    if name not in known:
        raise InputError(
            f"{name!r} is neither a model folder nor a published model; published are {', '.join(known)}; "
            "small_2d and small_3d come with the package"
        )
    try:
        folder: Path = pretrained.download_pretrained(name, download_dir)
    except (OSError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors
        raise InputError(
            f"the published model {name!r} is not on this machine and cannot be downloaded "
            f"({type(error).__name__}); connect to the internet, or give a model folder such as checkpoints/small_2d"
        ) from error
    return folder


def save_trackastra_folder(
    model: Any, folder: Path, training: Mapping[str, Any], event_heads: EventHeads | None = None
) -> None:
    """Save a model so that `trackastra.model.Trackastra.from_folder(folder)` loads it.

    Args:
        model: A `trackastra.model.TrackingTransformer`.
        folder: Gets `config.yaml`, `train_config.yaml` and, last, `model.pt`.
        training: How it was trained: plain numbers, texts and lists. Trackastra reads `features` from it,
            which is set to "wrfeat"; `format` is set as well.
        event_heads: What scores events from the model's embeddings, in a file of its own that Trackastra does not read.
    """
    heads = {} if event_heads is None else {folder / EVENT_HEADS: _weights_of(event_heads)}
    kept = getattr(model, KEPT, {})  # how a model sees movies is not lost when it is saved again
    described = {**kept, **training, "features": "wrfeat", "format": FORMAT}
    described.pop(_OF_HEADS, None)
    if "window" in described:
        described["window"] = model.config["window"]
    if event_heads is None:
        (folder / EVENT_HEADS).unlink(missing_ok=True)  # of a model that is replaced
    else:
        described[_OF_HEADS] = weights_digest(model, event_heads)
    write_together(
        {
            folder / "config.yaml": yaml.safe_dump(dict(model.config)).encode(),
            folder / "train_config.yaml": yaml.safe_dump(described).encode(),
            **heads,
            folder / "model.pt": _weights_of(model),
        }
    )


def _weights_of(module: nn.Module) -> bytes:
    weights = io.BytesIO()
    torch.save({name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}, weights)
    return weights.getvalue()


def weights_digest(*parts: nn.Module) -> str:
    """Twelve hexadecimal digits of the SHA-256 of the weights of a model and their names."""
    digest = hashlib.sha256()
    for part in parts:
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
