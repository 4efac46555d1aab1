"""Annotated movies of every format from their paths."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.one_in_a_million import overlap_outlines
from torchtrack_uq.datasets import read_annotated, read_movies
from torchtrack_uq.datasets.read import sequence_key
from torchtrack_uq.errors import InputError


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
