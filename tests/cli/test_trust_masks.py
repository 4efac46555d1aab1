"""What is no label mask ends every command with one sentence, and `--trust-masks` goes on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import InputError, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.movies.findings import MovieWarning


@pytest.fixture(scope="module")
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Images of four moving rows of cells, bright on noise, and their masks."""
    masks = np.zeros((4, 64, 80), np.uint16)
    for t in range(4):
        for k in range(20):
            y, x = 4 + 15 * (k // 5), 4 + 15 * (k % 5) + t
            masks[t, y : y + 7, x : x + 6] = k + 1
    images = 100 * (masks > 0) + np.random.default_rng(0).poisson(400, masks.shape)
    return images.astype(np.uint16), masks


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, frames: np.ndarray) -> Path:
        (tmp_path / name).mkdir()
        for t, frame in enumerate(frames):
            tifffile.imwrite(tmp_path / name / f"t{t:03d}.tif", frame)
        return tmp_path / name

    return write


def run(*arguments: object) -> int:
    return main([str(argument) for argument in (*arguments, "--quiet")])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda images, masks: (masks, images), "the images do look like masks: are the two swapped?"),
        (lambda images, masks: (images, images), "are these the images?"),
        (lambda images, masks: (images, (255 * (masks > 0)).astype(np.uint8)), "as in a yes/no mask"),
        (lambda images, masks: (images, (masks > 0).astype(np.uint8)), "as in a yes/no mask"),
    ],
    ids=["swapped", "images as masks", "0 and 255", "0 and 1"],
)
def test_track_refuses_what_is_no_label_mask(
    pixels: tuple[np.ndarray, np.ndarray],
    write: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    sentence: str,
) -> None:
    images, masks = change(*pixels)
    command = ("track", "-i", write("i", images), "-m", write("m", masks), "-o", tmp_path / "out")
    assert run(*command, "--tracker", "distance") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert f"{tmp_path / 'm'} does not look like label masks: " in printed.err
    assert sentence in printed.err
    assert "--trust-masks" in printed.err
    assert not (tmp_path / "out").exists()


def test_trusted_masks_are_tracked_with_a_warning(
    pixels: tuple[np.ndarray, np.ndarray],
    write: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    masks = write("m", (pixels[1] > 0).astype(np.uint8))
    command = ("track", "-m", masks, "-o", tmp_path / "out", "--tracker", "distance", "--trust-masks")
    assert run(*command) == 0
    assert capsys.readouterr().err.startswith(f"warning: {masks} does not look like label masks: ")
    assert len(pd.read_csv(tmp_path / "out" / "cells.csv")) == 4


def test_an_empty_frame_is_said_on_the_command_line(
    pixels: tuple[np.ndarray, np.ndarray],
    write: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    masks = pixels[1].copy()
    masks[1] = 0
    command = ("track", "-m", write("m", masks), "-o", tmp_path / "out", "--tracker", "distance")
    assert run(*command) == 0
    assert "warning: there is no cell in frame 1 of 4" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "fit"])
def test_a_segmentation_is_looked_at_before_anything_is_scored(
    walks: Path, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    annotation = walks.with_name(f"{walks.name}_GT") / "TRA"
    frames = np.stack([tifffile.imread(file) for file in sorted(annotation.glob("*.tif"))])
    yes_no = write("seg", (frames > 0).astype(np.uint8))
    out = {"evaluate": "--json", "fit": "-o"}[command]
    arguments = (command, walks, "--segmentation", yes_no, "--tracker", "distance", out, tmp_path / "o.json")
    assert run(*arguments) == 2
    assert "as in a yes/no mask" in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()


def test_python_takes_trust_masks(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    yes_no = (pixels[1] > 0).astype(np.uint8)
    tracker = UncertainTracker("distance")
    with pytest.raises(InputError, match="trust_masks=True"):
        tracker.track(None, yes_no, progress=False)
    with pytest.warns(MovieWarning, match="yes/no mask"):
        assert len(tracker.track(None, yes_no, trust_masks=True, progress=False).cells) == 4
