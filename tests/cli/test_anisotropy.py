"""Voxel sizes and lengths with units on the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.support.balls import moving_balls
from torchtrack_uq.cli import main


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    for t, frame in enumerate(moving_balls()[1]):
        tifffile.imwrite(folder / f"t{t:03d}.tif", frame)
    return folder


def track(masks: Path, out: Path, *options: str) -> int:
    return main(["track", "-m", str(masks), "-o", str(out), "--tracker", "distance", "--quiet", *options])


def test_thick_planes_and_a_range_in_micrometres_are_understood(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = ("--voxel-size", "2,0.4,0.4", "--interval", "30")
    assert track(masks, tmp_path / "um", *scale, "--search-range", "4um") == 0
    assert "voxels of 2 x 0.4 x 0.4 µm are no cubes" in capsys.readouterr().out
    assert track(masks, tmp_path / "pixels", *scale, "--search-range", "10") == 0
    cells, same = (pd.read_csv(tmp_path / name / "cells.csv") for name in ("um", "pixels"))
    pd.testing.assert_frame_equal(cells, same)
    np.testing.assert_allclose(cells["z_um"], 2 * cells["z"], rtol=1e-4)
    assert cells["time_s"].max() == 90


def test_a_range_in_micrometres_needs_the_voxel_size_before_cells_are_measured(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchtrack_uq.movies.detections.Detections.from_movie", None)
    assert track(masks, tmp_path / "out", "--search-range", "4µm") != 0
    assert "nobody knows how large a voxel is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_units_are_refused(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        track(masks, tmp_path / "out", "--search-range", "4px")
    assert "expected micrometres such as '12um', or a number of pixels" in capsys.readouterr().err


def test_a_2d_model_says_what_works_in_3d_and_the_default_one_does(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--model", "small_2d"]
    assert main(["track", "-m", str(masks), "-o", str(tmp_path / "out"), "--quiet", *named]) != 0
    said = capsys.readouterr().err
    assert "--model small_3d" in said
    assert "--tracker distance or overlap" in said
    assert not (tmp_path / "out").exists()
    assert main(["track", "-m", str(masks), "-o", str(tmp_path / "out"), "--quiet"]) == 0
