"""A table of movies is refused as a whole, with the line and the reason, before anything runs."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq import InputError
from torchtrack_uq.batch.movies import BatchMovie, read_movies
from torchtrack_uq.batch.same_work import difference, fingerprint
from torchtrack_uq.cli.batch_rows import track_options, wrong_with
from torchtrack_uq.results.stages import work_digest


def read(folder: Path, text: str, common: list[str] | None = None) -> list[BatchMovie]:
    """Movies of a table with this text."""
    file = folder / "movies.csv"
    file.write_text(text)
    flags = {name: action.nargs == 0 for name, action in track_options().items()}
    return read_movies(file, flags, wrong_with, common or [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("frame,y,x\n0,1,1\n1,1,1\n")
    tifffile.imwrite(tmp_path / "seg.tif", np.ones((3, 8, 8), np.uint16), photometric="minisblack")
    return tmp_path


def test_rows_become_arguments_and_paths_lie_beside_the_table(folder: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("frame,y,x\n" + "".join(f"{t},1,1\n" for t in range(4)))
    one, two = read(
        folder,
        'name,points,Stride,voxel_size,masks,trust-masks\nfirst,a.csv,2,"0.5,0.5",,\n,,,,seg.tif,yes\n',
        ["--stride=2"],
    )
    assert one.name == "first"
    assert one.arguments == (
        "--stride=2",
        f"--points={folder / 'a.csv'}",
        "--stride=2",
        "--voxel-size=0.5,0.5",
    )
    assert two.name == "seg"
    assert two.arguments == ("--stride=2", f"--masks={folder / 'seg.tif'}", "--trust-masks")
    assert one.inputs == (folder / "a.csv",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("points,colour\na.csv,red\n", r"column\(s\) colour"),
        ("name\nx\n", "neither a column masks nor points"),
        ("points\n", "no movie|no row"),
        ("points\nmissing.csv\n", r"line 2 .*missing.csv is not there"),
        ("points,stride\na.csv,two\n", "line 2 .*--stride"),
        ("points,stride\na.csv,0\n", "line 2 .*'0' is no stride"),
        ("points,stride\na.csv,2\n", "line 2 .*stride 2 keeps 1 of 2 frames"),
        ("points,stride\na.csv,\nb.csv,9\n", "line 3 .*stride 9 keeps 1 of 2 frames"),
        ("masks,stride\nseg.tif,3\n", "line 2 .*stride 3 keeps 1 of 3 frames"),
        ("points,search-range,tracker\na.csv,5,overlap\n", "line 2 .*overlap looks at masks"),
        ("masks,search-range\nseg.tif,5\n", "line 2 .*--search-range is for --tracker distance"),
        ("points,channel\na.csv,2\n", "line 2 .*--channel say how images and masks are read"),
        ("points,temperature\na.csv,no.json\n", "line 2 .*no.json does not exist"),
        ("points,confidence\na.csv,90%\n", "line 2 .*--confidence belongs to"),
        ("points,tracker\na.csv,best\n", "line 2 .*--tracker"),
        ("points,masks\na.csv,a.csv\n", "line 2 .*not allowed with"),
        ("images\n\"a.csv\"\n", "neither a column"),
        ("points,name\na.csv,x\nb.csv,X\n", "line 3 .*second movie"),
        ("points,name\na.csv,../x\n", "no name for a folder"),
        ("points,name\na.csv,.x\n", "no name for a folder"),
        ("points,name\na.csv,logs\n", "no name for a folder"),
        ("points,name\na.csv,x/y\n", "no name for a folder"),
        ("points,name\na.csv,Batch.csv\n", "no name for a folder"),
        ("points,name\na.csv,=1+1\n", "no name for a folder"),
        ("points,name\na.csv,\u00fc\nb.csv,u\u0308\n", "line 3 .*second movie"),
        ("", "expected a header line, and below it a movie a row"),
        ("points,name\n", "expected a movie a row"),
        ("points,trust-masks\na.csv,maybe\n", "expected yes or no"),
        ("points,output\na.csv,x\n", r"column\(s\) output"),
    ],
)  # fmt: skip
def test_what_track_would_refuse_is_refused_with_its_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(folder, text)


def test_all_wrong_rows_are_named_at_once_but_no_more_than_a_person_reads(folder: Path) -> None:
    rows = ["missing.csv,1", "a.csv,two", "b.csv,1", *(f"m{k}.csv,1" for k in range(6))]
    with pytest.raises(InputError) as error:
        read(folder, "points,stride\n" + "\n".join(rows) + "\n")
    said = str(error.value)
    assert all(f"line {line} of" in said for line in (2, 3, 5, 6, 7))
    assert "line 4" not in said
    assert said.endswith("(and 3 more rows)")


def test_a_calibration_that_changed_is_other_input_wherever_it_is_named(folder: Path) -> None:
    file = folder / "t.json"
    for text, common in (
        ("points,temperature\na.csv,t.json\n", []),
        ("points\na.csv\n", [f"--temperature={file}"]),
        ("points,temperature\na.csv,\n", [f"--temperature={file}"]),
    ):
        file.write_text("{}")
        (movie,) = read(folder, text, common)
        before = fingerprint(movie).as_json()
        assert difference(movie, before) is None
        file.write_text('{"temperature": 2.0}')
        assert difference(movie, before) == "other input: files have changed since"
    (movie,) = read(folder, "points,temperature\na.csv,2.0\n", [f"--temperature={file}"])
    assert movie.inputs == (folder / "a.csv",)


def test_what_cannot_be_read_stops_no_batch_and_counts_once_it_can(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "t0").write_text("a mask")
    (masks / "t1").symlink_to(tmp_path / "nowhere")
    (masks / os.fsdecode(b"\xff")).write_text("a name in no encoding")
    os.mkfifo(masks / "pipe")
    movie = BatchMovie("m", (), (masks,))
    before = fingerprint(movie).as_json()
    assert difference(movie, before) is None
    (tmp_path / "nowhere").write_text("a mask")
    assert difference(movie, before) == "other input: files have changed since"


def test_rows_whose_file_cannot_be_read_are_left_to_their_own_run(folder: Path) -> None:
    (folder / "a.csv").write_text("frame,y\n")
    (folder / "seg.tif").write_bytes(b"II*")
    movies = read(folder, "name,points,masks,stride\none,a.csv,,2\ntwo,,seg.tif,2\n")
    assert [movie.name for movie in movies] == ["one", "two"]


def test_a_change_behind_a_link_to_a_folder_is_other_input(tmp_path: Path) -> None:
    """As where frames lie on another disk and the movie's folder holds links to them."""
    for folder in ("masks", "elsewhere/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "masks" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "masks")
    file = tmp_path / "elsewhere" / "deep" / "t0"
    file.write_text("a mask")
    movie = BatchMovie("m", (), (tmp_path / "masks",))
    before, digest = fingerprint(movie).as_json(), work_digest([], movie.inputs)
    assert difference(movie, before) is None
    assert work_digest([], movie.inputs) == digest
    file.write_text("another")
    assert difference(movie, before) == "other input: files have changed since"
    assert work_digest([], movie.inputs) != digest


def test_the_same_work_is_known_by_content_and_not_by_time(folder: Path) -> None:
    (movie,) = read(folder, "points\na.csv\n")
    before = fingerprint(movie).as_json()
    assert difference(movie, before) is None
    content = (folder / "a.csv").read_bytes()
    (folder / "a.csv").unlink()
    (folder / "a.csv").write_bytes(content)
    assert difference(movie, before) is None
    (folder / "a.csv").write_bytes(content.replace(b"1,1,1", b"1,1,2"))
    assert difference(movie, before) == "other input: files have changed since"
    assert "version" in str(difference(movie, {**before, "version": "0"}))


def test_files_that_change_places_are_other_input(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("t0", "t1"):
        (masks / name).write_text(name)
    movie = BatchMovie("m", (), (masks,))
    before = fingerprint(movie).as_json()
    (masks / "t0").rename(masks / "t2")
    (masks / "t1").rename(masks / "t0")
    (masks / "t2").rename(masks / "t1")
    assert difference(movie, before) is not None
