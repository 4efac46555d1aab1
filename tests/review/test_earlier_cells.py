"""Decisions stay with the cells that they were made of, when results in their folder are replaced."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import InputError, UncertainTracker
from torchtrack_uq.cli.main import main
from torchtrack_uq.review.session import ReviewSession


def save(folder: Path, seed: int, temperature: float = 1.0) -> None:
    """Results of a few points that walk; another seed makes other points with the same labels."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 60, (8, 2)) + rng.normal(0, 1.5, (4, 8, 2)).cumsum(axis=0)
    frame, label = np.repeat(np.arange(4), 8), np.tile(np.arange(1, 9), 4)
    table = pd.DataFrame(
        {"frame": frame, "id": label, "y": place[..., 0].ravel(), "x": place[..., 1].ravel()}
    )
    tracker = UncertainTracker("distance", temperature=temperature)
    tracker.track_points(table, progress=False).save(folder, overwrite=True, progress=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "out", 0)
    (tmp_path / "out" / "decisions.csv").write_text(
        "frame,label,verdict,mother_frame,mother,time,who\n2,3,none,,,2001-01-01T00:00:00+00:00,me\n"
    )
    return tmp_path / "out"


def test_decisions_about_cells_that_were_replaced_are_refused_and_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "decisions.csv"
    written = file.read_text()
    save(folder, 1)
    with pytest.raises(InputError, match="replaced by those of other cells"):
        ReviewSession.open(folder)
    assert main(["correct", str(folder), str(file), "-o", str(folder.parent / "new")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "1 row(s)" in said
    save(folder, 1, temperature=2.0)  # the same cells once more make the file no younger
    file.write_text(written.replace(",", ";"))
    with pytest.raises(InputError, match="replaced by those of other cells"):
        ReviewSession.open(folder)
    file.rename(folder / "old.csv")
    assert ReviewSession.open(folder).progress.decided == 0


def test_decisions_about_the_same_cells_are_taken_however_they_were_tracked_anew(folder: Path) -> None:
    save(folder, 0, temperature=2.0)
    assert "cells_since" not in json.loads((folder / "settings.json").read_text())
    assert ReviewSession.open(folder).progress.decided == 1


def test_decisions_made_since_are_taken_and_plain_tables_too(folder: Path) -> None:
    save(folder, 1)
    file = folder / "decisions.csv"
    file.write_text(file.read_text().replace("2001", "2999"))
    assert ReviewSession.open(folder).progress.decided == 1
    (folder / "mine.csv").write_text("frame,label,verdict,mother_frame,mother\n2,3,none,,\n")
    new = folder.parent / "new"
    assert main(["correct", str(folder), str(folder / "mine.csv"), "-o", str(new), "--quiet"]) == 0


def test_corrected_results_say_which_decisions_they_are_of(folder: Path) -> None:
    for k, source in enumerate((folder, folder.parent / "new0")):
        mine = folder.parent / f"mine{k}.csv"
        mine.write_text(f"frame,label,verdict,mother_frame,mother\n2,{3 + k},none,,\n")
        assert main(["correct", str(source), str(mine), "-o", str(folder.parent / f"new{k}"), "--quiet"]) == 0
    found = json.loads((folder.parent / "new1" / "settings.json").read_text())["decisions_of"]
    assert [Path(one["file"]).name for one in found] == ["mine0.csv", "mine1.csv"]
    assert len({one["sha256"] for one in found}) == 2


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_decisions_that_are_not_there_are_unusable_input(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["correct", str(folder), str(folder.parent / name), "-o", str(folder.parent / "new")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
