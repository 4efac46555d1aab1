from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile


@pytest.fixture
def archive(tmp_path: Path, write_ctc: Callable[..., Path]) -> Path:
    """Two sequences, 00 and 01: a rod that divides after frame 1, and one beside it that touches it in frame 2."""
    root = tmp_path / "one-in-a-million"
    for name in ("00", "01"):
        masks = np.zeros((4, 40, 60), np.uint16)
        masks[:2, 10:16, 10:40] = 1
        masks[2:, 10:16, 10:24] = 2
        masks[2:, 10:16, 26:40] = 3
        masks[:, 16:22, 10:40] += np.uint16(4)
        images, rows = (masks > 0).astype(np.uint8) * 200, ["1 0 1 0", "2 2 3 1", "3 2 3 1", "4 0 3 0"]
        write_ctc(masks, rows, root / name, images=images, digits=4)
        (root / f"{name}_GT" / "SEG").mkdir()
        for t, mask in enumerate(masks):
            tifffile.imwrite(root / f"{name}_GT" / "SEG" / f"man_seg{t:04d}.tif", mask)
    return root
