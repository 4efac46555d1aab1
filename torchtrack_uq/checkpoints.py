"""Where models are found: those that come with the package, folders, and published ones."""

import os
from pathlib import Path

import torch

from torchtrack_uq.errors import InputError
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
