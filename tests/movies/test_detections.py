import numpy as np
import pytest

from torchtrack_uq import Detections, InputError, Movie


def test_cells_are_found_by_frame_and_label(hela_cells: Detections) -> None:
    order = np.random.default_rng(0).permutation(len(hela_cells))
    np.testing.assert_array_equal(hela_cells.find(hela_cells.frame[order], hela_cells.label[order]), order)
    assert hela_cells.find([], []).shape == (0,)
    assert hela_cells.find(0, hela_cells.label[0]).shape == ()


def test_stride_keeps_the_cells_of_the_kept_frames(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    every = Detections.from_movie(Movie.open(None, blobs[1]), progress=False)
    second = Detections.from_movie(Movie.open(None, blobs[1], stride=2), progress=False)
    kept = every.frame % 2 == 0
    np.testing.assert_array_equal(second.frame, every.frame[kept] // 2)
    np.testing.assert_array_equal(second.label, every.label[kept])


class TestRefuses:
    def test_cells_that_do_not_exist(self) -> None:
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        with pytest.raises(InputError, match="label 2 in frame 1, nor 1 others"):
            cells.find([1, 0, 5], [2, 1, 1])
        with pytest.raises(InputError, match="integers"):
            cells.find(0.5, 1)

    def test_unsorted_cells(self) -> None:
        with pytest.raises(InputError, match="sorted by frame"):
            Detections(np.array([1, 0]), np.array([1, 1]), np.zeros((2, 2), np.float32), n_frames=2)

    def test_a_label_twice_in_a_frame(self) -> None:
        with pytest.raises(InputError, match="label 4 stands twice in frame 0"):
            Detections(np.array([0, 0]), np.array([4, 4]), np.zeros((2, 2), np.float32), n_frames=1)

    def test_nan_coordinates(self) -> None:
        with pytest.raises(InputError, match="must be finite"):
            Detections.from_points(np.array([0]), np.array([[np.nan, 0.0]]))

    def test_columns_of_different_length(self) -> None:
        with pytest.raises(InputError, match="one label and one centroid"):
            Detections(np.array([0, 0]), np.array([4]), np.zeros((2, 2), np.float32), n_frames=1)

    def test_frames_beyond_the_movie(self) -> None:
        with pytest.raises(InputError, match="but the movie has 1 frames"):
            Detections.from_points(np.array([3]), np.zeros((1, 2)), n_frames=1)
