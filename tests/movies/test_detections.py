import numpy as np
import pytest

from torchtrack_uq import CandidateGraph, Detections, InputError, Movie


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


class TestTablesInAnyOrder:
    FRAME, LABEL = np.array([2, 0, 1, 0, 2]), np.array([5, 4, 7, 3, 1])
    COORDS = np.arange(10.0).reshape(5, 2)

    def test_rows_that_are_not_sorted_are_refused_and_the_message_says_what_to_do(self) -> None:
        with pytest.raises(
            InputError, match=r"not sorted by frame \(from row 0 on\).*sort=True.*cell_of_row"
        ):
            Detections.from_points(self.FRAME, self.COORDS)
        with pytest.raises(InputError, match=r"not sorted by frame and label \(from row 1 on\)"):
            Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)), np.array([1, 2, 1]))

    @pytest.mark.parametrize("labelled", [False, True])
    def test_sorted_cells_know_their_row_and_rows_their_cell(self, labelled: bool) -> None:
        label = self.LABEL if labelled else None
        cells = Detections.from_points(self.FRAME, self.COORDS, label, sort=True)
        np.testing.assert_array_equal(cells.frame, self.FRAME[cells.row])
        np.testing.assert_array_equal(cells.coords, self.COORDS[cells.row])
        np.testing.assert_array_equal(cells.cell_of_row(cells.row), np.arange(5))
        np.testing.assert_array_equal(cells.coords[cells.cell_of_row(np.arange(5))], self.COORDS)
        if labelled:
            np.testing.assert_array_equal(cells.label, self.LABEL[cells.row])
        assert cells.cell_of_row([]).shape == (0,)
        assert cells.cell_of_row(3).shape == ()

    def test_links_given_by_row_join_the_cells_of_those_rows(self) -> None:
        cells = Detections.from_points(self.FRAME, self.COORDS, self.LABEL, sort=True)
        mother, daughter = [1, 2], [2, 4]  # rows: frame 0 to 1, and 1 to 2
        graph = CandidateGraph.from_links(
            cells, cells.cell_of_row(mother), cells.cell_of_row(daughter), [1.0, 2.0]
        )
        np.testing.assert_array_equal(graph.coords[graph.mother], self.COORDS[mother])
        np.testing.assert_array_equal(graph.coords[graph.daughter], self.COORDS[daughter])

    def test_a_sorted_table_keeps_its_row_numbers(self, hela_cells: Detections) -> None:
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        for found in (cells, hela_cells):
            np.testing.assert_array_equal(found.row, np.arange(len(found)))

    def test_rows_without_a_cell_are_refused(self) -> None:
        cells = Detections.from_points(self.FRAME, self.COORDS, sort=True)
        for row in (5, -1):
            with pytest.raises(InputError, match=f"no cell of row {row}"):
                cells.cell_of_row([0, row])
        with pytest.raises(InputError, match="no cell of row -1"):
            Detections.from_points(np.zeros(0), np.zeros((0, 2))).cell_of_row(-1)
        with pytest.raises(InputError, match="must be integers"):
            cells.cell_of_row([0.0])

    def test_columns_of_different_length_are_refused(self) -> None:
        with pytest.raises(InputError, match="one frame and one label a row"):
            Detections.from_points(np.array([0, 1]), np.zeros((3, 2)))

    @pytest.mark.parametrize("name", ["frame", "label"])
    def test_numbers_that_are_no_integers_are_refused_and_whole_floats_are_not(self, name: str) -> None:
        columns = {"frame": np.array([0.0, 1.0]), "label": np.array([1.0, 1.0])}
        assert Detections.from_points(coords=np.zeros((2, 2)), **columns).frame.tolist() == [0, 1]
        for wrong in (columns[name] + 0.5, columns[name] + np.nan, columns[name].astype(str)):
            with pytest.raises(InputError, match=f"{name} .*expected integers"):
                Detections.from_points(coords=np.zeros((2, 2)), **{**columns, name: wrong})

    def test_frames_before_the_first_are_refused(self) -> None:
        with pytest.raises(InputError, match="frames count from 0, but there are detections in frame -1"):
            Detections.from_points(np.array([-1, 0]), np.zeros((2, 2)))


def test_a_notebook_shows_one_line(hela_cells: Detections) -> None:
    assert "\n" not in repr(hela_cells)
    assert f"{len(hela_cells)} cells" in repr(hela_cells)


@pytest.mark.parametrize("far", [1e16, 1e40, 1e160])
def test_places_beyond_what_distances_can_be_measured_between_are_refused(far: float) -> None:
    with pytest.raises(InputError, match=r"coordinates of detections reach 1e\+.*; expected pixels"):
        Detections.from_points(np.arange(2), np.array([[0.0, 0], [far, 0]]))


def test_places_are_in_double_precision_whatever_they_come_in() -> None:
    place = np.zeros((1, 2), np.float32)
    cells = Detections(np.zeros(1, np.int64), np.ones(1, np.int64), place, 1)  # type: ignore[arg-type]
    assert cells.coords.dtype == np.float64
