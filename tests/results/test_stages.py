"""A run that was killed goes on with what it had worked out, and ends with the very same results."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq import Detections, DistanceTracker
from torchtrack_uq.cli.main import main
from torchtrack_uq.results import stages as stages_module
from torchtrack_uq.results.save import save_result
from torchtrack_uq.results.stages import Stages, work_digest

TABLES = ("links.csv", "cells.csv", "tracks.csv", "review.csv", "res_track.txt")


@pytest.fixture
def movie(tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Masks in a folder; every stage is worth keeping."""
    monkeypatch.setattr(stages_module, "LEAST_SECONDS", 0.0)
    folder = tmp_path / "masks"
    folder.mkdir()
    for t, mask in enumerate(blobs[1]):
        tifffile.imwrite(folder / f"t{t:03d}.tif", mask)
    return folder


def command(masks: Path, out: Path, *more: str) -> list[str]:
    return ["track", "-m", str(masks), "-o", str(out), "--tracker", "distance", "--quiet", *more]


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def forbidden(*_: object, **__: object) -> None:
    raise AssertionError("this was worked out before")


@pytest.mark.parametrize("method", ["auto", "SM", "FP+A"])
def test_a_run_that_ended_before_its_outputs_goes_on_there(
    movie: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    with monkeypatch.context() as killed:
        killed.setattr("torchtrack_uq.results.tracking_result.save_result", interrupt)
        assert main(command(movie, out, "--method", method)) == 130
    assert capsys.readouterr().err.endswith("interrupted; nothing was written\n")
    assert not out.exists()
    kept = sorted(file.name for file in (tmp_path / ".out.stages").iterdir())
    assert kept == ["cells.npz", "digest.txt", *["scores.npz"] * (method != "FP+A")]
    with monkeypatch.context() as known:
        known.setattr(Detections, "from_movie", forbidden)
        if method != "FP+A":
            known.setattr(DistanceTracker, "candidates", forbidden)
        assert main(command(movie, out, "--method", method)) == 0
    assert not (tmp_path / ".out.stages").exists()
    assert main(command(movie, whole, "--method", method)) == 0
    for name in TABLES:
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    with np.load(out / "state.npz") as ours, np.load(whole / "state.npz") as its:
        assert ours.files == its.files
        for name in set(ours.files) - {"facts"}:
            np.testing.assert_array_equal(ours[name], its[name])


@pytest.mark.parametrize("change", ["option", "input", "version"])
def test_other_work_does_not_go_on_with_it(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr("torchtrack_uq.results.tracking_result.save_result", interrupt)
    assert main(command(movie, out)) == 130
    more: tuple[str, ...] = ()
    if change == "option":
        more = ("--stride", "2")
    elif change == "input":
        file = sorted(movie.iterdir())[-1]
        mask = tifffile.imread(file)
        tifffile.imwrite(file, np.where(mask == mask.max(), 0, mask))
    else:
        monkeypatch.setattr(stages_module, "__version__", "0")
    measured = []
    original = Detections.from_movie.__func__

    def from_movie(cls: type[Detections], *arguments: object, **options: object) -> Detections:
        measured.append(True)
        return original(cls, *arguments, **options)

    monkeypatch.setattr(Detections, "from_movie", classmethod(from_movie))
    monkeypatch.setattr("torchtrack_uq.results.tracking_result.save_result", save_result)
    assert main(command(movie, out, *more)) == 0
    assert measured


def test_options_that_change_no_score_go_on_with_it(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as killed:
        killed.setattr("torchtrack_uq.results.tracking_result.save_result", interrupt)
        assert main(command(movie, out)) == 130
    monkeypatch.setattr(Detections, "from_movie", forbidden)
    assert main(command(movie, out, "--overwrite", "-v")) == 0


def test_a_damaged_stage_is_done_again(movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as killed:
        killed.setattr("torchtrack_uq.results.tracking_result.save_result", interrupt)
        assert main(command(movie, out)) == 130
    for name in ("cells.npz", "scores.npz"):
        file = tmp_path / ".out.stages" / name
        file.write_bytes(file.read_bytes()[:-100])
    assert main(command(movie, out)) == 0


def test_quick_work_is_not_kept_and_a_full_disk_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Detections.from_points(np.array([0, 1]), np.ones((2, 2)))
    stages = Stages.beside(tmp_path / "out", work_digest([], []))
    assert stages.detections(lambda: cells) is cells
    assert not stages.folder.exists()
    monkeypatch.setattr(stages_module, "LEAST_SECONDS", 0.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stages_module, "write_atomically", full)
    assert stages.detections(lambda: cells) is cells
    assert not stages.kept
