"""Where models are found: those that come with the package, folders, and published ones."""

import os
from pathlib import Path
from typing import Any

import torch
import yaml

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.event_offsets import EVENT_SCORES, EventOffsets
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.trackers.trackastra import TrackastraTracker

_PACKAGE = Path(__file__).parent


def bundled_models() -> dict[str, Path]:
    """Folders of the models that come with the package, by name."""
    roots = (_PACKAGE / "_checkpoints", _PACKAGE.parent / "checkpoints")  # installed, and in a checkout
    return {file.parent.name: file.parent for root in roots for file in sorted(root.glob("*/model.pt"))}


def bundled_calibration(model: str, method: str) -> Path:
    """The calibration file that comes with a bundled model, for one method, at every frame.

    Args:
        model: Such as "small_2d".
        method: Such as "AS".

    Raises:
        InputError: No model of that name comes with the package, or no calibration for that method.
    """
    models = bundled_models()
    if model not in models:
        raise InputError(
            f"calibrations come with {', '.join(models)} only, not with {model!r}: fit one with `torchtrack-uq fit`"
        )
    file = models[model] / "calibration" / f"{method}.json"
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.json"))
        raise InputError(
            f"{model} comes with calibrations for {', '.join(known) or 'no method'}, not for {method}: fit one with "
            "`torchtrack-uq fit`"
        )
    return file


def load_model(name: str, device: str | torch.device | None = None) -> TrackastraTracker:
    """Load a Trackastra model by name or folder.

    Args:
        name: A model folder; "small_2d", which comes with the package; or a published model such as
            "general_2d", which trackastra downloads once.
        device: "auto", "cpu", "cuda".

    Raises:
        InputError: Nothing by that name, a damaged folder, or no network.
    """
    bundled = bundled_models()
    if name in bundled:
        return TrackastraTracker.from_folder(bundled[name], device=device)
    if Path(name).expanduser().is_dir() or os.sep in name:
        return TrackastraTracker.from_folder(name, device=device)
    return TrackastraTracker.from_pretrained(name, device=device)


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
    described: Any = yaml.safe_load((Path(folder).expanduser() / "train_config.yaml").read_text()).get(
        "layer"
    )
    if not isinstance(described, dict) or not {"method", "temperature"} <= described.keys():
        raise InputError(
            f"the model in {folder} was not fine-tuned through the layer; load it with load_model"
        )
    events = EventOffsets(*(described[name] for name in EVENT_SCORES)) if "appear" in described else None
    return tracker, UncertaintyLayer(described["method"], described["temperature"], events=events)
