from pathlib import Path

import numpy as np
import pytest

from torchtrack_uq.datasets import Lineage
from torchtrack_uq.errors import InputError


def test_rows_may_come_in_any_order() -> None:
    lineage = Lineage.from_rows([(7, 4, 5, 2), (2, 0, 3, 0)])
    assert lineage.label.tolist() == [2, 7]
    assert lineage.parent.tolist() == [0, 2]
    assert lineage.rows_of(np.array([[7, 2, 5]])).tolist() == [[1, 0, -1]]


def test_an_empty_lineage_has_no_ancestors() -> None:
    lineage = Lineage.from_rows([])
    assert len(lineage) == 0
    assert lineage.ancestor(np.array([3]), np.array([0])).tolist() == [0]


def test_ancestors_go_through_several_divisions() -> None:
    lineage = Lineage.from_rows([(1, 0, 1, 0), (2, 2, 3, 1), (3, 4, 4, 2), (4, 4, 9, 2), (9, 2, 9, 0)])
    label, frame = np.array([3, 3, 4, 9, 9]), np.array([3, 1, 0, 2, 1])
    assert lineage.ancestor(label, frame).tolist() == [2, 1, 1, 9, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 0, 1, 0)], "labels of tracks must be positive"),
        ([(1, 0, 1, 0), (1, 2, 3, 0)], "label 1 twice"),
        ([(1, 3, 1, 0)], "runs from frame 3 to 1"),
        ([(1, 0, 1, 5)], "descends from 5, which is not listed"),
        ([(1, 2, 3, 2), (2, 2, 3, 0)], "not after its parent"),
        ([(1, 2, 3, 1)], "not after its parent"),
    ],
)
def test_contradictions_are_refused(rows: list[tuple[int, int, int, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Lineage.from_rows(rows)


@pytest.mark.parametrize("line", ["1 0 5", "1 0 5 0 0", "1 0 x 0", "1.5 0 3 0"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "man_track.txt"
    file.write_text(f"2 0 5 0\n\n{line}\n")
    with pytest.raises(InputError, match="line 3: expected four whole numbers"):
        Lineage.read(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Lineage.read(tmp_path / "man_track.txt")


def test_a_contradiction_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "man_track.txt").write_text("1 0 5 3\n")
    with pytest.raises(InputError, match=r"man_track\.txt: track 1 descends from 3"):
        Lineage.read(tmp_path / "man_track.txt")
