"""A quarter of the HeLa movie, tracked from files once, and a fresh copy of its folder for each test."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq import UncertainTracker
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.napari_plugin import ReviewController
from torchtrack_uq.review.session import ReviewSession


@pytest.fixture(scope="package")
def tracked_folder(crop: tuple[Movie, Detections], tmp_path_factory: pytest.TempPathFactory) -> Path:
    movie, _ = crop
    folder = tmp_path_factory.mktemp("tracked")
    for name, read in (("images", movie.read_image), ("masks", movie.read_mask)):
        tifffile.imwrite(folder / f"{name}.tif", np.stack([read(t) for t in range(movie.n_frames)]))
    result = UncertainTracker("distance").track(folder / "images.tif", folder / "masks.tif", progress=False)
    return result.save(folder / "out", progress=False)


@pytest.fixture
def folder(tracked_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tracked_folder, tmp_path / "out"))


@pytest.fixture
def review(folder: Path) -> ReviewController:
    return ReviewController(ReviewSession.open(folder, who="me"))
