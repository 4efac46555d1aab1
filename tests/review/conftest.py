"""One tracked movie for all tests of the review, and a fresh copy of its folder for each."""

import os
import shutil
from pathlib import Path

import pytest

from torchtrack_uq import UncertainTracker
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.review.session import ReviewSession


@pytest.fixture(scope="package")
def tracked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images, masks = hela_example()
    result = UncertainTracker("distance").track(images, masks, progress=False)
    return result.save(tmp_path_factory.mktemp("tracked") / "out", progress=False)


@pytest.fixture
def folder(tracked_folder: Path, tmp_path: Path) -> Path:
    # links, as no test writes into a file of the result: it appends its own, or replaces one
    return Path(shutil.copytree(tracked_folder, tmp_path / "out", copy_function=os.link))


@pytest.fixture
def session(folder: Path) -> ReviewSession:
    return ReviewSession.open(folder, who="me")
