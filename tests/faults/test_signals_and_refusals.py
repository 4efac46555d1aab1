"""Commands as a shell runs them: signals end them with one sentence, and output is apart from input."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.support.forked import contents, fill
from torchtrack_uq.cli import main
from torchtrack_uq.results import save

COMMAND = [sys.executable, "-c", "from torchtrack_uq.cli.main import command; command()"]


def spots(file: Path, n_frames: int = 30, n_cells: int = 12, seed: int = 0) -> Path:
    """A table of drifting spots."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 60, (n_cells, 2))
    paths = start + np.cumsum(rng.normal(0, 1, (n_frames, n_cells, 2)), axis=0)
    table = pd.DataFrame(paths.reshape(-1, 2), columns=["y", "x"])
    table.assign(frame=np.repeat(np.arange(n_frames), n_cells)).to_csv(file, index=False)
    return file


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], None]:
    """Sends a signal to this process while results are being written, after the first table."""

    def at_table(number: signal.Signals) -> None:
        write = save.write_csv

        def interrupting(*arguments: object, **options: object) -> None:
            os.kill(os.getpid(), number)
            write(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(save, "write_csv", interrupting)

    return at_table


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_signal_ends_a_command_with_one_sentence_its_own_status_and_no_litter(
    tmp_path: Path,
    number: signal.Signals,
    interrupted: Callable[[signal.Signals], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = spots(tmp_path / "spots.csv")
    interrupted(number)
    handler = signal.getsignal(number)
    if handler == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as in a job that a shell has put in the background")
    assert run("track", "--points", table, "-o", tmp_path / "out", "--quiet") == 128 + number
    what = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert capsys.readouterr().err == f"torchtrack-uq: {what}; nothing was written\n"
    assert [item.name for item in tmp_path.iterdir()] == ["spots.csv"]
    assert signal.getsignal(number) is handler


def test_a_signal_that_is_ignored_stays_so(
    tmp_path: Path, interrupted: Callable[[signal.Signals], None]
) -> None:
    """nohup ignores SIGHUP, so that a command goes on when its terminal closes."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupted(signal.SIGHUP)
        assert run("track", "--points", spots(tmp_path / "spots.csv"), "-o", tmp_path / "out", "--quiet") == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "out" / "links.csv").is_file()


def test_a_signal_while_earlier_results_are_replaced_says_that_all_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = spots(tmp_path / "spots.csv"), tmp_path / "out"
    assert run("track", "--points", table, "-o", out, "--quiet") == 0
    fill(out, {"decisions.csv": "mine"})
    before = (out / "settings.json").read_text()
    rename = os.rename

    def interrupting(*arguments: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        rename(*arguments)

    monkeypatch.setattr(os, "rename", interrupting)
    capsys.readouterr()
    again = ("track", "--points", table, "-o", out, "--quiet", "--overwrite", "--temperature", 2)
    assert run(*again) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "torchtrack-uq: ended by SIGTERM; all is written already\n"
    assert (out / "settings.json").read_text() != before
    assert (out / "decisions.csv").read_text() == "mine"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["out", "spots.csv"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_of_its_own_ends_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    table = spots(tmp_path / "spots.csv", n_frames=400, n_cells=60)
    process = subprocess.Popen(
        [*COMMAND, "track", "--points", table, "-o", tmp_path / "out", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / ".out.uq-lock").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 128 + number
    assert said == f"torchtrack-uq: ended by {number.name}\n" or said.endswith("; nothing was written\n")
    assert [item.name for item in tmp_path.iterdir()] == ["spots.csv"]


class TestOutputIsApartFromInput:
    """Of every command that writes, files and folders."""

    def refused(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
        place = Path.cwd()
        before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
        capsys.readouterr()
        assert run(*arguments) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
        return said

    def test_track_doubt_and_correct(
        self,
        tmp_path: Path,
        blobs: tuple[np.ndarray, np.ndarray],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for t, mask in enumerate(blobs[1]):
            Path("seg").mkdir(exist_ok=True)
            tifffile.imwrite(f"seg/mask{t:03d}.tif", mask)
        Path("link").symlink_to("seg")
        for out in ("seg", "link", ".", "seg/below"):
            said = self.refused(capsys, "track", "-m", "seg", "-o", out, "--stride", 2, "--overwrite")
            assert "choose a folder apart" in said
        assert run("track", "-m", "seg", "-o", "out", "--tracker", "distance", "--quiet") == 0
        assert "choose a folder apart" in self.refused(
            capsys, "doubt", "out", "-m", "seg", "-o", "seg", "--overwrite"
        )
        assert "choose a folder apart" in self.refused(capsys, "doubt", "out", "-o", "out", "--overwrite")
        fill(tmp_path, {"decisions.csv": "frame,label,verdict,mother_frame,mother\n"})
        assert "choose another folder" in self.refused(
            capsys, "correct", "out", "decisions.csv", "-o", "link/../out", "--overwrite"
        )
        assert "choose a folder apart" in self.refused(
            capsys, "correct", "out", "decisions.csv", "-o", "seg", "-i", "seg", "--overwrite"
        )
        fill(tmp_path, {"new/review.csv": "frame,label,verdict,mother_frame,mother\n"})
        assert "choose another name" in self.refused(
            capsys, "correct", "out", "new/review.csv", "-o", "new", "--overwrite"
        )

    def test_export_sample_and_lineages(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("track", "--points", spots(Path("spots.csv")), "-o", "out", "--quiet") == 0
        for file in ("out/cells.csv", "out/links.csv", "out/state.npz", "out/tracks.geff/.zattrs"):
            assert "choose another name" in self.refused(
                capsys, "export", "out", "--to", "mastodon", "-o", file, "--overwrite"
            )
            assert "choose another name" in self.refused(capsys, "sample", "out", "-o", file, "--overwrite")
        for file in ("out/cells.csv", "out/doubts.csv"):  # the second for its picture
            assert "choose another name" in self.refused(capsys, "lineages", "out", "-o", file, "--overwrite")
        for _ in range(2):  # what is not of the results may lie among them
            assert run("sample", "out", "-o", "out/to_annotate.csv", "-n", 5, "--overwrite") == 0
            assert run("export", "out", "--to", "mastodon", "-o", "out/mastodon.csv", "--overwrite") == 0

    def test_evaluate_fit_and_train(
        self, walks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(walks.parent)
        annotations = "01_GT/TRA/man_track.txt"
        shared = ("01", "--tracker", "distance", "--quiet")
        assert "choose another name" in self.refused(capsys, "evaluate", *shared, "--json", annotations)
        assert "choose another name" in self.refused(
            capsys, "evaluate", *shared, "--picture", "01_GT/TRA/man_track000.tif"
        )
        assert "choose another name" in self.refused(capsys, "fit", *shared, "-o", annotations)
        for out in ("01_GT", ".", "01_GT/TRA/below"):
            said = self.refused(capsys, "train", "01", "-o", out, "--segmentation", "01_GT", "--overwrite")
            assert "choose a folder apart" in said


def test_contents_of_a_folder_are_compared_byte_by_byte(tmp_path: Path) -> None:
    """The helper of these tests sees a change."""
    fill(tmp_path, {"a": "1"})
    assert contents(tmp_path) != {"a": "2"}
