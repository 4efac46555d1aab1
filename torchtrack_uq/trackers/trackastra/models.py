"""Where models are found: those that come with the package, folders, and published ones."""

import os
from pathlib import Path

import torch

from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker

_PACKAGE = Path(__file__).parents[2]
DEFAULT_MODEL = "small_2d"


def bundled_models() -> dict[str, Path]:
    """Folders of the models that come with the package, by name."""
    roots = (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints")  # installed, and in a checkout
    return {file.parent.name: file.parent for root in roots for file in sorted(root.glob("*/model.pt"))}


def load_model(
    model: str = DEFAULT_MODEL, device: str | torch.device | None = None, max_gap: int = 1
) -> TrackastraTracker:
    """Load a Trackastra model by name or folder.

    Args:
        model: A model folder; "small_2d" or "small_3d", which come with the package; or a published model such as
            "general_2d", which trackastra downloads once.
        device: "auto", "cpu", "cuda".
        max_gap: How many frames a link may span.

    Raises:
        InputError: Nothing by that name, a damaged folder, no network, or a max_gap below 1.
    """
    check_max_gap(max_gap)  # before anything is read or downloaded
    bundled = bundled_models()
    if model in bundled:
        return TrackastraTracker.from_folder(bundled[model], device=device, max_gap=max_gap)
    if Path(model).expanduser().is_dir() or os.sep in model:
        return TrackastraTracker.from_folder(model, device=device, max_gap=max_gap)
    return TrackastraTracker.from_pretrained(model, device=device, max_gap=max_gap)
