"""Two small movies, and one of them scored."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from torchtrack_uq import DistanceTracker
from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.datasets import read_ctc_sequence

N_FRAMES, N_CELLS, SIZE = 12, 10, 96  # stride 4 leaves too few frames: one unit a movie


@pytest.fixture(scope="session")
def movies(tmp_path_factory: pytest.TempPathFactory, write_ctc: Callable[..., Path]) -> Path:
    """A data folder with two movies of cells of 5 x 5 pixels on a random walk, without images."""
    data = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("one", "two")):
        rng = np.random.default_rng(seed)
        at = rng.uniform(8, SIZE - 8, (N_CELLS, 2))
        end = np.full(N_CELLS + 1, -1)
        begin = np.full(N_CELLS + 1, N_FRAMES)
        masks = []
        for t in range(N_FRAMES):
            mask = np.zeros((SIZE, SIZE), np.uint16)
            at = np.clip(at + rng.normal(0, 2.5, at.shape), 3, SIZE - 4)
            for label, (y, x) in enumerate(at.astype(int), start=1):
                mask[y - 2 : y + 3, x - 2 : x + 3] = label
            for label in np.unique(mask[mask > 0]):
                begin[label], end[label] = min(begin[label], t), t
            masks.append(mask)
        rows = [(label, begin[label], end[label], 0) for label in range(1, N_CELLS + 1) if end[label] >= 0]
        write_ctc(masks, rows, data / name / "01")
    return data


@pytest.fixture(scope="session")
def scored(movies: Path) -> ScoredMovie:
    annotated = read_ctc_sequence(movies / "one" / "01", progress=False)
    graph = DistanceTracker(scale=1.0).candidates(annotated.detections, progress=False)
    return ScoredMovie("one", graph, annotated.targets())
