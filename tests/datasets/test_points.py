from pathlib import Path

import pytest

from torchtrack_uq import DistanceTracker, UncertaintyLayer
from torchtrack_uq.datasets import read_points_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.metrics import summarise
from torchtrack_uq.truth import judge


@pytest.mark.parametrize("first", [0, 1])
def test_points_may_count_frames_from_zero_or_one(tmp_path: Path, first: int) -> None:
    (tmp_path / "man_track.txt").write_text("1 0 1 0\n2 2 2 1\n")
    rows = [(first, 5.0, 6.0, 1), (first + 1, 5.5, 6.5, 1), (first + 2, 6.0, 7.0, 2)]
    text = "frame,x,y,track\n" + "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "points.csv").write_text(text)
    movie = read_points_movie(tmp_path)
    assert movie.mother.tolist() == [-1, 0, 1]
    assert movie.detections.coords[0].tolist() == [6.0, 5.0]


def test_rows_may_stand_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "man_track.txt").write_text("1 0 1 0\n2 1 1 0\n")
    (tmp_path / "points.csv").write_text("frame,x,y,track\n1,3,4,2\n0,1,2,1\n1,5,6,1\n")
    cells = read_points_movie(tmp_path).detections
    assert cells.coords.tolist() == [[2, 1], [6, 5], [4, 3]]
    assert cells.row.tolist() == [1, 2, 0]
    assert read_points_movie(tmp_path, stride=2).detections.row.tolist() == [1]


def test_a_column_z_makes_the_movie_3d(tmp_path: Path) -> None:
    (tmp_path / "man_track.txt").write_text("1 0 1 0\n")
    (tmp_path / "points.csv").write_text("frame,z,y,x,track\n0,1,2,3,1\n1,4,5,6,1\n")
    assert read_points_movie(tmp_path).detections.coords.tolist() == [[1, 2, 3], [4, 5, 6]]
    (tmp_path / "points.csv").write_text("frame,z,y,x,track\n0,1,2,3,1\n1,,5,6,1\n")
    with pytest.raises(InputError, match="every point needs frame, z, y, x, track"):
        read_points_movie(tmp_path)


@pytest.mark.parametrize(
    ("movie", "least"), [("celegans-20241010_JIM767_25_L3", 0.98), ("ascidian-Pm02", 0.95)]
)
def test_distances_in_3d_link_embryos(data_folder: Path, movie: str, least: float) -> None:
    if not (data_folder / movie).is_dir():
        pytest.skip(f"{movie} is not there")
    annotated = read_points_movie(data_folder / movie)
    assert annotated.detections.ndim == 3
    graph = DistanceTracker().candidates(annotated.detections)
    found = summarise([judge(UncertaintyLayer("SM")(graph).to("cpu"), annotated.targets())])
    assert found["accuracy"] >= least


def test_bad_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no points\.csv"):
        read_points_movie(tmp_path)
    (tmp_path / "man_track.txt").write_text("1 0 1 0\n")
    (tmp_path / "points.csv").write_text("frame,x,track\n0,1,1\n")
    with pytest.raises(InputError, match="expected columns frame, x, y, track"):
        read_points_movie(tmp_path)
    (tmp_path / "points.csv").write_text("frame,x,y,track\n0,1,,1\n")
    with pytest.raises(InputError, match="empty or infinite entries"):
        read_points_movie(tmp_path)


def test_the_points_movie_reads(data_folder: Path) -> None:
    counts = read_points_movie(data_folder / "c2c12-points").summary()
    assert counts["n_cells"] == 85576
    assert counts["n_divisions"] == 247
