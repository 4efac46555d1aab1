import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

DATA = Path(os.environ.get("TORCHTRACK_UQ_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"annotated movies are not at {DATA}: set TORCHTRACK_UQ_DATA to use them")
    return DATA


@pytest.fixture
def write_ctc(tmp_path: Path) -> Callable[..., Path]:
    """Write a sequence from one line of labels a frame (every label one 2 x 2 block) and its track rows."""

    def write(frames: list[list[int]], rows: list[str], images: bool = False) -> Path:
        folder = tmp_path / "set" / "01"
        masks = tmp_path / "set" / "01_GT" / "TRA"
        masks.mkdir(parents=True)
        for t, labels in enumerate(frames):
            mask = np.zeros((6, 60), np.uint16)
            for place, label in enumerate(labels):
                mask[2:4, 3 * place : 3 * place + 2] = label
            tifffile.imwrite(masks / f"man_track{t:03d}.tif", mask)
            if images:
                folder.mkdir(exist_ok=True)
                tifffile.imwrite(folder / f"t{t:03d}.tif", mask * 3)
        (masks / "man_track.txt").write_text("\n".join(rows) + "\n")
        return folder

    return write
