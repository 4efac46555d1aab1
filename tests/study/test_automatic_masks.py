"""The plain automatic segmentation of `experiments.automatic_masks`."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")

from experiments.automatic_masks import SegmentedFrames, segment
from torchtrack_uq.datasets import CtcSequence, match_frame
from torchtrack_uq.movies.frames import open_frames


def discs(*places: tuple[int, int], radius: int = 10) -> np.ndarray:
    y, x = np.mgrid[:120, :160]
    return np.stack([(y - a) ** 2 + (x - b) ** 2 <= radius**2 for a, b in places])


@pytest.mark.parametrize("bright", [True, False])
def test_cells_that_stand_apart_or_touch_are_found_one_by_one(bright: bool) -> None:
    cells = discs((30, 30), (30, 90), (80, 60), (80, 81))
    image = 100 + np.random.default_rng(0).normal(0, 3, cells.shape[1:])
    image += (60 if bright else -60) * cells.any(axis=0)
    found = segment(image, bright=bright)
    annotation = sum((k + 1) * (cell & ~cells[:k].any(axis=0)) for k, cell in enumerate(cells))
    match = match_frame(found, np.asarray(annotation))
    assert match.counts == (4, 0, 0, 4, 0, 0)


def test_an_image_of_one_value_holds_nothing() -> None:
    assert not segment(np.full((30, 30), 7, np.uint8)).any()


def test_a_real_movie_is_segmented_with_few_errors(data_folder: Path) -> None:
    folder = data_folder / "Fluo-N2DH-SIM+" / "01"
    images = CtcSequence.find(folder).images
    assert images is not None
    masks = SegmentedFrames(open_frames(images), bright=True)
    annotation = open_frames(CtcSequence.find(folder).masks)
    counts = np.sum([match_frame(masks.read(t), annotation.read(t)).counts for t in (0, 30, 60)], axis=0)
    matched, _, _, annotated, *_ = counts
    assert 0.9 * annotated < matched < annotated
