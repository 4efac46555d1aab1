"""Where models are found: those that come with the package, folders, and published ones."""

import os
from pathlib import Path

import torch

from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker

_PACKAGE = Path(__file__).parents[2]
DEFAULT_MODEL = "small_2d"


def bundled_models() -> dict[str, Path]:
    """Folders of the models that come with the package, by name."""
    roots = (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints")  # installed, and in a checkout
    return {file.parent.name: file.parent for root in roots for file in sorted(root.glob("*/model.pt"))}


def load_model(model: str = DEFAULT_MODEL, device: str | torch.device | None = None) -> TrackastraTracker:
    """Load a Trackastra model by name or folder.

    Args:
        model: A model folder; "small_2d", which comes with the package; or a published model such as
            "general_2d", which trackastra downloads once.
        device: "auto", "cpu", "cuda".

    Raises:
        InputError: Nothing by that name, a damaged folder, or no network.
    """
    bundled = bundled_models()
    if model in bundled:
        return TrackastraTracker.from_folder(bundled[model], device=device)
    if Path(model).expanduser().is_dir() or os.sep in model:
        return TrackastraTracker.from_folder(model, device=device)
    return TrackastraTracker.from_pretrained(model, device=device)
