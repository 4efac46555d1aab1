"""The command tracks a long movie in reels, and a run that was killed goes on with those that it had."""

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.walkers import walkers
from torchtrack_uq.assignment import piece
from torchtrack_uq.cli.main import main
from torchtrack_uq.reels import all_reels
from torchtrack_uq.reels.link_files import LinkFiles
from torchtrack_uq.reels.store import Store

FILES = ("links.csv", "cells.csv", "tracks.csv", "review.csv", "res_track.txt", "doubts.png")


real_work_on = all_reels.work_on


@pytest.fixture(autouse=True)
def few_cells_are_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece, "lose_by_cuts", lambda *_: False)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    cells = walkers(150, 30, seed=2)
    table = pd.DataFrame({"frame": cells.frame, "y": cells.coords[:, 0], "x": cells.coords[:, 1]})
    table.to_csv(tmp_path / "points.csv", index=False)
    return tmp_path / "points.csv"


def command(points: Path, out: Path, *more: str) -> list[str]:
    return ["track", "--points", str(points), "-o", str(out), "--quiet", "--cells-at-once", "1000", *more]


def assert_same(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    with np.load(one / "state.npz") as first, np.load(other / "state.npz") as second:
        assert first.files == second.files
        for name in first.files:
            if name != "facts":  # which name the command
                np.testing.assert_array_equal(first[name], second[name])


def fail_at(number: int, error: type[BaseException] | BaseException):
    """`work_on` that raises when it comes to a reel."""
    real = all_reels.work_on

    def work_on(setting, reel, which, *more):
        if which == number:
            raise error
        return real(setting, reel, which, *more)

    return work_on


@pytest.mark.parametrize("at", [2, 0])
def test_a_run_that_was_interrupted_goes_on_with_its_reels(
    points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], at: int
) -> None:
    assert main(command(points, tmp_path / "whole")) == 0
    assert "tracked in 4 reels" in capsys.readouterr().out
    with monkeypatch.context() as killed:
        killed.setattr(all_reels, "work_on", fail_at(at, KeyboardInterrupt))
        assert main(command(points, tmp_path / "out")) == 130
    assert not (tmp_path / "out").exists()
    worked = []
    real = all_reels.work_on

    def watched(setting, reel, number, *more):
        worked.append(number)
        return real(setting, reel, number, *more)

    monkeypatch.setattr(all_reels, "work_on", watched)
    capsys.readouterr()
    assert main([name for name in command(points, tmp_path / "out") if name != "--quiet"]) == 0
    assert "going on where an earlier run ended, with its reels" in capsys.readouterr().err
    assert worked[-1] == 0
    assert len(worked) <= at + 2  # what was being finished is done again
    assert_same(tmp_path / "out", tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


def test_what_is_damaged_is_done_again(points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(command(points, tmp_path / "whole")) == 0
    with monkeypatch.context() as killed:
        killed.setattr(all_reels, "work_on", fail_at(0, KeyboardInterrupt))
        assert main(command(points, tmp_path / "out")) == 130
    for file in (tmp_path / ".out.stages" / "reels").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    assert main(command(points, tmp_path / "out")) == 0
    assert_same(tmp_path / "out", tmp_path / "whole")


def test_a_run_that_was_killed_while_it_saved_goes_on(
    points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command(points, tmp_path / "whole")) == 0
    real = LinkFiles.write_table

    def killed(self, folder):
        real(self, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(LinkFiles, "write_table", killed)
        assert main(command(points, tmp_path / "out")) == 130
    worked = []
    monkeypatch.setattr(all_reels, "work_on", lambda *given: worked.append(given[2]) or real_work_on(*given))
    assert main(command(points, tmp_path / "out")) == 0
    assert worked == []
    assert_same(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize("name", ["3.csv", "2.csv", "2.score", "3.log_link", "2.scaled", "3.selected"])
@pytest.mark.parametrize("cut", [True, False])
def test_files_of_links_that_are_not_whole_are_made_again(
    points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, cut: bool
) -> None:
    if (name, cut) in {("2.csv", True), ("3.log_link", True), ("2.scaled", False), ("3.selected", False)}:
        pytest.skip("as the others")
    assert main(command(points, tmp_path / "whole")) == 0
    with monkeypatch.context() as killed:
        killed.setattr(all_reels, "work_on", fail_at(0, KeyboardInterrupt))
        assert main(command(points, tmp_path / "out")) == 130
    file = tmp_path / ".out.stages" / "reels" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]) if cut else file.unlink()
    assert main(command(points, tmp_path / "out")) == 0
    assert_same(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize(
    "frames", [(0, 1, 2, 148, 149), (75, 76, 77, 78, 79), (0,), (149,)], ids=lambda found: str(len(found))
)
def test_reels_without_any_cell_are_nothing_special(tmp_path: Path, frames: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    frame = np.repeat(frames, 600 if len(frames) > 1 else 2)
    extra = pd.DataFrame({"frame": [0, 149], "y": [1.0, 1.0], "x": [1.0, 1.0]})
    places = rng.uniform(0, 600, (len(frame), 2))
    table = pd.DataFrame({"frame": frame, "y": places[:, 0], "x": places[:, 1]})
    file = tmp_path / "points.csv"
    pd.concat([table, extra]).sort_values("frame").to_csv(file, index=False)
    for folder, at_once in (("reels", "1000"), ("whole", "0")):
        given = command(file, tmp_path / folder)
        assert main([*given[: given.index("--cells-at-once")], "--cells-at-once", at_once]) == 0
    one, other = (pd.read_csv(tmp_path / folder / "cells.csv") for folder in ("reels", "whole"))
    assert (one["track"] == other["track"]).all()
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_nothing(
    points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self, name, arrays):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(Store, "put", full)
    assert main(command(points, tmp_path / "out")) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.stages").exists()


def test_other_settings_begin_anew(points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(all_reels, "work_on", fail_at(0, KeyboardInterrupt))
        assert main(command(points, tmp_path / "out")) == 130
    assert main(command(points, tmp_path / "out", "--temperature", "3")) == 0
    assert main(command(points, tmp_path / "other", "--temperature", "3")) == 0
    assert_same(tmp_path / "out", tmp_path / "other")


@pytest.mark.parametrize(
    ("more", "why"), [(("--method", "SM"), "method SM"), (("--max-gap", "1"), "need no reels")]
)
def test_what_cannot_be_cut_is_held_as_a_whole_and_says_so(
    points: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], why: str
) -> None:
    assert main(command(points, tmp_path / "out", *more)) == 0
    said = capsys.readouterr()
    assert "not tracked in reels, but as a whole: " in said.err
    assert why in said.err
    assert "reels of about" not in said.out
    assert not list(tmp_path.glob(".*"))


def test_a_movie_of_channels_is_held_as_a_whole(
    points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(piece, "lose_by_cuts", lambda *_: True)
    assert main(command(points, tmp_path / "out")) == 0
    assert "as in channels" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


def test_a_movie_of_reels_can_be_corrected_and_reviewed(points: Path, tmp_path: Path) -> None:
    assert main(command(points, tmp_path / "out")) == 0
    queue = pd.read_csv(tmp_path / "out" / "review.csv")
    first = queue.iloc[0]
    table = pd.DataFrame(
        {
            "frame": [first["frame"]],
            "label": [first["label"]],
            "verdict": ["bad"],
            "mother_frame": [None],
            "mother": [None],
        }
    )
    table.to_csv(tmp_path / "decided.csv", index=False)
    corrected = tmp_path / "corrected"
    assert (
        main(
            ["correct", str(tmp_path / "out"), str(tmp_path / "decided.csv"), "-o", str(corrected), "--quiet"]
        )
        == 0
    )
    after = pd.read_csv(corrected / "cells.csv")
    gone = (after["frame"] == first["frame"]) & (after["label"] == first["label"])
    assert not gone.any()
    assert len(after) == len(pd.read_csv(tmp_path / "out" / "cells.csv")) - 1
