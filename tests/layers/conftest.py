import numpy as np
import pytest

from torchtrack_uq import Detections


@pytest.fixture(scope="module")
def crowd() -> Detections:
    """Five frames of 25 cells, some of which may have changed places."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 60, (25, 2))
    coords = np.concatenate([start + rng.normal(0, 2, start.shape) for _ in range(5)])
    return Detections.from_points(np.repeat(np.arange(5), 25), coords)
