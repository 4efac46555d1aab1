"""Annotated movies of every format from their paths."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.one_in_a_million import overlap_outlines
from torchtrack_uq.datasets import AnnotatedMovie, Lineage, read, read_annotated, read_movies
from torchtrack_uq.datasets.read import Format, refuse_repeated, sequence_key
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import open_frames


def test_movies_of_every_format_come_with_their_pixels(
    archive: Path, write_ctc: Callable[..., Path], tmp_path: Path
) -> None:
    ctc = write_ctc([[1], [1], [2, 3]], ["1 0 1 0", "2 2 2 1", "3 2 2 1"], images=True)
    points = tmp_path / "points"
    points.mkdir()
    (points / "man_track.txt").write_text("1 0 2 0\n")
    (points / "points.csv").write_text("frame,x,y,track\n0,1,1,1\n1,2,1,1\n2,3,1,1\n")
    movies = list(read_movies([ctc, str(points), archive / "01"], 2, progress=False))
    assert [m.name for m in movies] == ["set/01", "points", "one-in-a-million/01"]
    assert [m.detections.stride for m in movies] == [2, 2, 2]
    assert [m.movie is None for m in movies] == [False, True, False]
    assert movies[0].movie is not None
    assert movies[0].movie.n_frames == 2
    assert movies[0].mother.tolist() == [-1, 0, 0]
    assert not read_annotated(ctc, use_images=False, progress=False).detections.has_images
    overlap_outlines(archive, rows=1)
    with pytest.warns(UserWarning, match="bear labels that are no track"):
        read_annotated(archive / "00", progress=False)


def test_unusable_lists_of_paths_are_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no movie was given"):
        read_movies([])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="are the same sequence"):
        read_movies([archive / "00", "one-in-a-million/../one-in-a-million/00"], progress=False)
    with pytest.raises(InputError, match=re.escape(f"such as {archive / '00'} (it has 00, 01)")):
        sequence_key(archive)
    with pytest.raises(InputError, match="expected a sequence folder"):
        sequence_key(tmp_path / "nothing")


def test_an_added_format_is_read_and_known_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = AnnotatedMovie(
        "line", Detections.from_points([0, 1], [[0, 0], [1, 0]], [1, 1]), Lineage.from_rows([(1, 0, 1, 0)])
    )
    line = Format("line", lambda folder: folder.suffix == ".line", lambda *_, **__: movie)
    monkeypatch.setattr(read, "FORMATS", [*read.FORMATS, line])
    folders = [tmp_path / "a.line", tmp_path / "b.line"]
    assert [sequence_key(folder) for folder in folders] == folders
    assert list(read_movies(folders, progress=False)) == [movie, movie]
    with pytest.raises(InputError, match="are the same sequence"):
        read_movies([folders[0], tmp_path / "b" / ".." / "a.line"])
    monkeypatch.setattr(read, "FORMATS", [replace(line, key=lambda folder: folder.parent)])
    with pytest.raises(InputError, match="are the same sequence"):
        read_movies(folders)


class TestRefuseRepeated:
    """A sequence that is named twice, in whatever way its path is written."""

    @pytest.fixture
    def sequences(self, tmp_path: Path, write_ctc: Callable[..., Path]) -> list[Path]:
        """Two sequences of one data set, and one of another by the same name."""
        rows = ["1 0 2 0"]
        names = [("a", "01"), ("a", "02"), ("b", "01")]
        return [write_ctc([[1], [1], [1]], rows, tmp_path / name / number) for name, number in names]

    def test_sequences_that_differ_may_come_together(self, sequences: list[Path]) -> None:
        refuse_repeated({"": sequences})
        refuse_repeated({"train": sequences[:1], "validation": [], "test": sequences[1:]})

    def test_within_one_group_both_paths_are_named_and_the_group_if_it_has_a_name(
        self, sequences: list[Path], tmp_path: Path
    ) -> None:
        first = sequences[0]
        other = str(first / ".." / "01")
        with pytest.raises(
            InputError, match=re.escape(f"{other} is named twice: it and {first} are the same")
        ):
            refuse_repeated({"": [first, sequences[1], other]})
        (tmp_path / "linked").symlink_to(tmp_path / "a")
        with pytest.raises(InputError, match="is named twice among the test movies: it and"):
            refuse_repeated({"train": [sequences[2]], "test": [first, tmp_path / "linked" / "01"]})

    def test_between_two_groups_both_are_named(self, sequences: list[Path]) -> None:
        with pytest.raises(
            InputError, match=r"01 is a train and a test movie \(also given as .*one split only"
        ):
            refuse_repeated({"train": sequences[:2], "test": [sequences[2], sequences[0]]})

    def test_movies_of_points_are_compared_as_well(self, tmp_path: Path) -> None:
        (tmp_path / "man_track.txt").write_text("1 0 1 0\n")
        (tmp_path / "points.csv").write_text("frame,x,y,track\n0,1,1,1\n1,2,1,1\n")
        with pytest.raises(InputError, match="is named twice"):
            refuse_repeated({"": [tmp_path, tmp_path / ".." / tmp_path.name]})

    def test_it_is_said_before_any_movie_is_read(
        self, sequences: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(read, "read_annotated", lambda *_, **__: pytest.fail("a movie was read"))
        with pytest.raises(InputError, match="is named twice"):
            read_movies([sequences[0], sequences[0]])


class TestDataSetFolder:
    """A folder of sequences is no sequence, and the message says which there are."""

    def test_where_a_sequence_is_expected_they_are_listed(
        self, tmp_path: Path, write_ctc: Callable[..., Path]
    ) -> None:
        root = tmp_path / "Set"
        for number in ("02", "01"):
            write_ctc([[1], [1]], ["1 0 1 0"], root / number)
        (root / "03_GT").mkdir()  # without a TRA it is none
        sentence = re.escape(f"name one of them, such as {root / '01'} (it has 01, 02)")
        for ask in (read_annotated, sequence_key, lambda folder: refuse_repeated({"": [folder]})):
            with pytest.raises(InputError, match=sentence):
                ask(root)

    def test_a_sequence_beside_others_is_read(self, tmp_path: Path, write_ctc: Callable[..., Path]) -> None:
        folder = write_ctc([[1], [1]], ["1 0 1 0"], tmp_path / "Set" / "01", images=True)
        assert read_annotated(folder, progress=False).name == "Set/01"
        assert sequence_key(folder) == (tmp_path / "Set" / "01_GT" / "TRA").resolve()

    def test_the_working_directory_is_a_folder_like_any_other(
        self, tmp_path: Path, write_ctc: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_ctc([[1], [1]], ["1 0 1 0"], tmp_path / "Set" / "01", images=True)
        monkeypatch.chdir(folder)
        assert read_annotated(".", progress=False).name == "Set/01"
        assert sequence_key(".") == sequence_key(folder)
        for data_set in ("..", "../../Set/."):
            with pytest.raises(InputError, match=r"name one of them, such as .*01 \(it has 01\)"):
                read_annotated(data_set)


def test_another_segmentation_is_for_folders_of_the_challenge_alone(
    archive: Path, write_ctc: Callable[..., Path]
) -> None:
    folder = write_ctc([[1], [1]], ["1 0 1 0"])
    masks = np.stack(list(open_frames(folder.with_name("01_GT")))) * np.uint16(7)
    movie = read_annotated(folder, segmentation=masks, progress=False)
    assert movie.detections.label.tolist() == [7, 7]
    assert movie.mother.tolist() == [-1, 0]
    with pytest.raises(InputError, match="is in the format one in a million, which takes no other"):
        read_annotated(archive / "00", segmentation=masks, progress=False)


def test_a_reader_that_knows_no_voxel_size_is_asked_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def own(folder: Path, stride: int, *, use_images: bool, progress: bool) -> None:
        asked.append({"use_images": use_images, "progress": progress})

    monkeypatch.setattr(read, "FORMATS", [Format("own", lambda folder: True, own)])
    read_annotated(tmp_path)
    assert asked == [{"use_images": True, "progress": True}]
    with pytest.raises(InputError, match="own, whose reader takes no voxel size"):
        read_annotated(tmp_path, voxel_size=(1, 1))
