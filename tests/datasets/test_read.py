"""Movies from paths, and the layout of Zenodo 7260137, generated here as its exporter writes it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq.datasets import read_annotated, read_ctc_sequence, read_movies, read_one_in_a_million
from torchtrack_uq.datasets.one_in_a_million import find_sequences
from torchtrack_uq.datasets.read import sequence_key
from torchtrack_uq.errors import InputError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two sequences, 00 and 01: a rod that divides after frame 1, and one beside it that touches it in frame 2."""
    root = tmp_path / "one-in-a-million"
    for name in ("00", "01"):
        masks = np.zeros((4, 40, 60), np.uint16)
        masks[:2, 10:16, 10:40] = 1
        masks[2:, 10:16, 10:24] = 2
        masks[2:, 10:16, 26:40] = 3
        masks[:, 16:22, 10:40] += np.uint16(4)
        folders = root / name, root / f"{name}_GT" / "SEG", root / f"{name}_GT" / "TRA"
        for folder, prefix in zip(folders, ("t", "man_seg", "man_track"), strict=True):
            folder.mkdir(parents=True)
            for t, mask in enumerate(masks):
                frame = (mask > 0).astype(np.uint8) * 200 if prefix == "t" else mask
                tifffile.imwrite(folder / f"{prefix}{t:04d}.tif", frame)
        (folders[2] / "man_track.txt").write_text("1 0 1 0\n2 2 3 1\n3 2 3 1\n4 0 3 0")
    return root


def overlap_outlines(archive: Path, rows: int) -> None:
    """Let the outlines of cells 2 and 4 overlap in frame 2: their labels add up to 6."""
    file = archive / "00_GT" / "TRA" / "man_track0002.tif"
    mask = tifffile.imread(file)
    mask[16 : 16 + rows, 10:14] += np.uint16(2)
    tifffile.imwrite(file, mask)


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
