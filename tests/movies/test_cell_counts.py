"""Empty, repeated and oddly filled frames are said, and how cells come, go and divide is not."""

import warnings

import numpy as np
import pytest

from torchtrack_uq.movies.cell_counts import check_detections, detection_findings
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.findings import MovieWarning
from torchtrack_uq.movies.movie import Movie


def cells(counts: list[int]) -> Detections:
    frame = np.repeat(np.arange(len(counts)), counts)
    return Detections.from_points(
        frame, np.random.default_rng(0).random((len(frame), 2)), n_frames=len(counts)
    )


def sentence(detections: Detections) -> str:
    with pytest.warns(MovieWarning) as said:
        check_detections(detections)
    assert len(said) == 1
    return str(said[0].message)


def test_a_real_movie_raises_no_alarm(hela_cells: Detections) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_detections(hela_cells)


@pytest.mark.parametrize(
    "counts",
    [
        [1, 0, 1],
        [4, 0, 4, 4],
        [0, 0, 1, 2, 3, 6, 9],
        [4, 8, 16, 32, 64, 128],  # an embryo whose cells divide at the same time
        [100, 80, 60, 45, 33, 20],
        [10, 5, 10],
        [7],
        [],
    ],
)
def test_few_cells_that_come_and_go_and_cells_that_divide_raise_no_alarm(counts: list[int]) -> None:
    assert not detection_findings(cells(counts))


def test_an_empty_frame_is_named() -> None:
    said = sentence(cells([9, 9, 0, 9]))
    assert said.startswith("there is no cell in frame 2 of 4 but 9 in the frames around")
    assert said.endswith("--max-gap 2")


def test_several_empty_frames_are_one_sentence_with_the_gap_that_spans_them() -> None:
    said = sentence(cells([0, 9, 9, 0, 0, 9, 0, 9]))
    assert "frames 0, 3, 4 and 6 of 8" in said
    assert said.endswith("let links span them with --max-gap 3")


def test_a_frame_with_few_cells_and_one_with_many_are_named() -> None:
    assert "frame 2: far fewer cells than before and after (frame 2 has 30, the frames around 90 and 91)" in (
        sentence(cells([90, 90, 30, 91, 90]))
    )
    assert "frame 2: far more cells than before and after" in sentence(cells([30, 31, 90, 30, 31]))


def test_a_change_that_lasts_is_named() -> None:
    assert "from 90 in frame 1 to 40 in frame 2" in sentence(cells([90, 90, 40, 41, 40]))
    assert "from 40 in frame 1 to 120 in frame 2" in sentence(cells([40, 40, 120, 119, 121]))


def moving(with_images: bool) -> tuple[np.ndarray | None, np.ndarray]:
    masks = np.zeros((5, 40, 60), np.uint16)
    for t in range(5):
        for k in range(6):
            masks[t, 5 + t : 11 + t, 9 * k + 1 : 9 * k + 7] = k + 1
    images = np.random.default_rng(0).random(masks.shape) if with_images else None
    return images, masks


@pytest.mark.parametrize("with_images", [False, True])
def test_a_frame_that_repeats_the_one_before_is_named(with_images: bool) -> None:
    images, masks = moving(with_images)
    assert not detection_findings(Detections.from_movie(Movie.open(images, masks), progress=False))
    masks[3] = masks[2]
    if images is not None:
        images[3] = images[2]
    what = "masks and images" if with_images else "masks"
    said = sentence(Detections.from_movie(Movie.open(images, masks), progress=False))
    assert said.startswith(f"frame 3 of 5: {what} are exactly those of the frame before")


def test_cells_that_stand_still_under_new_images_are_no_repeated_frame() -> None:
    images, masks = moving(True)
    masks[3] = masks[2]
    assert not detection_findings(Detections.from_movie(Movie.open(images, masks), progress=False))
