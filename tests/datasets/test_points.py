from pathlib import Path

import pytest

from torchtrack_uq.datasets import read_points_movie
from torchtrack_uq.errors import InputError


@pytest.mark.parametrize("first", [0, 1])
def test_points_may_count_frames_from_zero_or_one(tmp_path: Path, first: int) -> None:
    (tmp_path / "man_track.txt").write_text("1 0 1 0\n2 2 2 1\n")
    rows = [(first, 5.0, 6.0, 1), (first + 1, 5.5, 6.5, 1), (first + 2, 6.0, 7.0, 2)]
    text = "frame,x,y,track\n" + "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "points.csv").write_text(text)
    movie = read_points_movie(tmp_path)
    assert movie.mother.tolist() == [-1, 0, 1]
    assert movie.detections.coords[0].tolist() == [6.0, 5.0]


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
