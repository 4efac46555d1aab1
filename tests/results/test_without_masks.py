"""Results that were saved without masks: all else is the same, and the user's own masks are opened again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import InputError, OverlapTracker, UncertainTracker
from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.cli.main import main
from torchtrack_uq.movies.frames import SelectedFrames
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.review.session import ReviewSession


@pytest.fixture
def masks(tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]) -> Path:
    """One TIFF a frame."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for t, mask in enumerate(blobs[1]):
        tifffile.imwrite(folder / f"m{t}.tif", mask)
    return folder


@pytest.fixture
def result(masks: Path) -> TrackingResult:
    return UncertainTracker(OverlapTracker()).track(None, masks, progress=False)


def no_decisions(n: int) -> Decisions:
    return Decisions(np.full(n, -1), np.zeros(n, bool), np.zeros(n, bool))


def test_all_else_is_the_same(result: TrackingResult, tmp_path: Path) -> None:
    result.save(tmp_path / "with", progress=False)
    result.save(tmp_path / "without", masks=False, progress=False)
    files = {file.name: file for file in (tmp_path / "with").iterdir()}
    assert len([name for name in files if name.startswith("mask")]) == 5
    without = {file.name for file in (tmp_path / "without").iterdir()}
    assert without == {name for name in files if not name.startswith("mask")}
    for name in ("links.csv", "cells.csv", "tracks.csv", "review.csv", "res_track.txt"):
        assert (tmp_path / "without" / name).read_bytes() == files[name].read_bytes()


def test_what_is_loaded_has_the_masks_that_were_tracked(result: TrackingResult, tmp_path: Path) -> None:
    result.save(tmp_path / "with", progress=False)
    result.save(tmp_path / "without", masks=False, progress=False)
    loaded = TrackingResult.load(tmp_path / "without")
    assert loaded.movie is not None
    assert result.movie is not None
    for t in range(5):
        np.testing.assert_array_equal(loaded.movie.read_mask(t), result.movie.read_mask(t))
    decisions = no_decisions(len(result.detections))
    for name in ("with", "without"):
        corrected = TrackingResult.load(tmp_path / name).correct(decisions)
        corrected.save(tmp_path / f"{name}_corrected", progress=False)
    pd.testing.assert_frame_equal(
        *(pd.read_csv(tmp_path / f"{name}_corrected" / "cells.csv") for name in ("with", "without"))
    )
    for t in range(5):
        one, other = (tmp_path / f"{name}_corrected" / f"mask{t:03d}.tif" for name in ("with", "without"))
        np.testing.assert_array_equal(tifffile.imread(one), tifffile.imread(other))


def test_every_second_frame_of_them(masks: Path, tmp_path: Path) -> None:
    result = UncertainTracker(OverlapTracker()).track(None, masks, stride=2, progress=False)
    assert result.movie is not None
    assert isinstance(result.movie.masks, SelectedFrames)
    result.save(tmp_path / "out", masks=False, progress=False)
    loaded = TrackingResult.load(tmp_path / "out")
    assert loaded.movie is not None
    np.testing.assert_array_equal(loaded.movie.read_mask(1), tifffile.imread(masks / "m2.tif"))


def test_masks_that_are_gone_are_asked_for(
    result: TrackingResult, masks: Path, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    result.save(tmp_path / "out", masks=False, progress=False)
    masks.rename(tmp_path / "moved")
    with pytest.raises(
        InputError, match=r"no longer at .*masks; pass them as masks=, or track again without"
    ):
        TrackingResult.load(tmp_path / "out")
    assert TrackingResult.load(tmp_path / "out", masks=tmp_path / "moved").movie is not None
    of_arrays = UncertainTracker(OverlapTracker()).track(None, blobs[1], progress=False)
    of_arrays.save(tmp_path / "arrays", masks=False, progress=False)
    with pytest.raises(InputError, match="were an array; pass them as masks="):
        TrackingResult.load(tmp_path / "arrays")
    assert TrackingResult.load(tmp_path / "arrays", masks=blobs[1]).movie is not None


def test_the_command_and_what_goes_on_from_it(masks: Path, tmp_path: Path) -> None:
    command = ["track", "-m", str(masks), "--tracker", "overlap", "-o", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 0
    assert any((tmp_path / "out").glob("mask*.tif"))
    assert main([*command, "--overwrite", "--no-masks"]) == 0
    assert not any((tmp_path / "out").glob("mask*.tif"))
    session = ReviewSession.open(tmp_path / "out")
    assert session.start.movie is not None
