"""Places in which the code of the documentation runs: small stand-ins for the movies that it names."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from tests.docs.pages import ROOT
from torchtrack_uq.datasets import example
from torchtrack_uq.movies import Movie


@pytest.fixture
def run_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_ctc: Callable[..., Path]
) -> Callable[[str, str], dict[str, object]]:
    """Runs a page's code in a folder with `checkpoints` and two annotated sequences of `data/Fluo-N2DL-HeLa`."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    for seed in (1, 2):
        masks, rows = moving_cells(seed)
        folder = tmp_path / "data" / "Fluo-N2DL-HeLa" / f"0{seed}"
        images = [np.where(mask > 0, 100, 10).astype(np.uint16) for mask in masks]
        write_ctc(masks, rows, folder, images=images)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)

    def run(code: str, name: str) -> dict[str, object]:
        namespace: dict[str, object] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of trackastra's import, and of fits on few cells
            exec(compile(code, name, "exec"), namespace)
        return namespace

    return run


@pytest.fixture
def small_example(hela: Movie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of five frames in place of the whole example movie."""
    files = tmp_path / "images.tif", tmp_path / "masks.tif"
    for file, read in zip(files, (hela.read_image, hela.read_mask), strict=True):
        frames = [np.asarray(read(t))[300:, 600:] for t in range(5)]
        tifffile.imwrite(file, np.stack(frames), photometric="minisblack")
    monkeypatch.setattr(example, "hela_example", lambda: files)


def moving_cells(seed: int) -> tuple[list[np.ndarray], list[tuple[int, ...]]]:
    """Masks of twelve frames and their tracks: thirty cells on random walks, two of which divide."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(np.arange(6), np.arange(5)), -1).reshape(-1, 2) * 22.0 + 16
    masks = []
    for t in range(12):
        mask = np.zeros((124, 146), np.uint16)
        for k, (x, y) in enumerate(place):
            row, column = int(y) - 5, int(x) - 5
            if k < 2 and t >= 6:
                mask[row : row + 4, column : column + 8] = 31 + 2 * k
                mask[row + 6 : row + 10, column : column + 8] = 32 + 2 * k
            else:
                mask[row : row + 8, column : column + 8] = k + 1
        masks.append(mask)
        place = np.clip(place + rng.normal(0, 1.5, place.shape), 8, (136, 114))
    rows = [(1, 0, 5, 0), (2, 0, 5, 0), *((k, 0, 11, 0) for k in range(3, 31))]
    rows += [(31, 6, 11, 1), (32, 6, 11, 1), (33, 6, 11, 2), (34, 6, 11, 2)]
    return masks, rows
