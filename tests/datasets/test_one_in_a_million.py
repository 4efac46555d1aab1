"""The layout of Zenodo 7260137, generated here as its exporter writes it."""

from pathlib import Path

import pytest

from tests.support.one_in_a_million import overlap_outlines
from torchtrack_uq.datasets import read_ctc_sequence, read_one_in_a_million
from torchtrack_uq.datasets.one_in_a_million import find_sequences
from torchtrack_uq.errors import InputError


def test_sequences_of_the_archive_are_read(archive: Path) -> None:
    assert [path.name for path in find_sequences(archive)] == ["00", "01"]
    movie = read_one_in_a_million(archive / "00", progress=False)
    assert movie.name == "one-in-a-million/00"
    assert movie.detections.has_images
    assert movie.mother.tolist() == [-1, -1, 0, 1, 2, 2, 3, 4, 5, 6]
    assert read_one_in_a_million(archive / "00", 2, progress=False).mother.tolist() == [-1, -1, 0, 0, 1]


def test_slivers_of_added_labels_are_cleared_with_a_warning(archive: Path) -> None:
    plain = read_one_in_a_million(archive / "00", progress=False)
    overlap_outlines(archive, rows=2)
    with pytest.raises(InputError, match="label 6 in frame 2 is not listed"):
        read_ctc_sequence(archive / "00", progress=False)
    with pytest.warns(UserWarning, match="8 pixels in 1 frames bear labels that are no track"):
        movie = read_one_in_a_million(archive / "00", progress=False)
    assert movie.mother.tolist() == plain.mother.tolist()


def test_labels_that_are_no_slivers_are_refused(archive: Path) -> None:
    (archive / "00_GT" / "TRA" / "man_track.txt").write_text("1 0 1 0\n2 2 3 1\n3 2 3 1\n")
    with pytest.raises(InputError, match="belong to no track of their frame"):
        read_one_in_a_million(archive / "00", progress=False)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no 00_GT/TRA"):
        find_sequences(tmp_path)
