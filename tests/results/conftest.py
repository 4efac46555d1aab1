"""The HeLa movie, tracked once for all tests that only look at the result."""

from pathlib import Path

import pytest

from torchtrack_uq import TrackingResult, UncertainTracker
from torchtrack_uq.datasets.example import hela_example


@pytest.fixture(scope="package")
def tracked() -> TrackingResult:
    images, masks = hela_example()
    return UncertainTracker("distance").track(images, masks, progress=False)


@pytest.fixture(scope="package")
def saved(tracked: TrackingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tracked.save(tmp_path_factory.mktemp("saved") / "out", progress=False)
