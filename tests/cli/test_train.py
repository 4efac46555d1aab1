"""The command that trains, from scratch and through the layer."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.drifting_cells import drifting_cells
from torchtrack_uq import InputError
from torchtrack_uq.cli import main
from torchtrack_uq.cli.main import build_parser
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.training import (
    TrainingSettings,
)
from torchtrack_uq.training.module import build_model


def test_the_command_trains_on_ctc_folders(
    write_ctc: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = np.zeros((6, 40, 60), np.uint16)
    for t in range(6):
        masks[t, 5:15, 5 + t : 15 + t], masks[t, 20:30, 30:42] = 1, 2
    write_ctc(masks, ["1 0 5 0", "2 0 5 0"], tmp_path / "cells" / "01")
    options = ["--steps", "2", "--validate-every", "1", "--d-model", "72", "--n-layers", "1"]
    options += ["--batch-size", "2", "--device", "cpu"]
    arguments = ["train", str(tmp_path / "cells" / "01"), "-o", str(tmp_path / "model"), *options]
    assert main(arguments) == 0
    assert (tmp_path / "model" / "model.pt").is_file()
    assert "cells/01: 6 frames, 12 cells, 10 links, 0 divisions, without images" in capsys.readouterr().out


def parse(*options: str) -> argparse.Namespace:
    return build_parser().parse_args(["train", *options, "--device", "cpu"])


def test_the_command_fine_tunes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trackastra_folder(build_model(TrainingSettings(d_model=72, n_layers=1)), tmp_path / "start", {})
    # the package may have a function of the module's name
    module = importlib.import_module("torchtrack_uq.training.from_scratch")
    monkeypatch.setattr(module, "read_movies", lambda *_, **__: [drifting_cells()])
    options = ["--steps", "2", "--batch-size", "2", "--method", "exact", "--learn-events"]
    options += ["--start-from", str(tmp_path / "start"), "--through-layer", "joint"]
    assert main(["train", "movie/01", "-o", str(tmp_path / "run"), *options, "--device", "cpu"]) == 0
    assert (tmp_path / "run" / "model.pt").is_file()
    assert "held-out accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--through-layer", "joint"], "--through-layer is for fine-tuning: give --start-from"),
        (["--learn-events"], "--learn-events is for fine-tuning"),
        (["--start-from", "small_2d", "--d-model", "72"], "--d-model is for training from scratch"),
    ],
)
def test_arguments_of_the_other_kind_of_training_are_refused(options: list[str], message: str) -> None:
    args = parse("movie/01", "-o", "run", *options)
    with pytest.raises(InputError, match=message):
        args.run(args)


def test_the_model_to_start_from_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trackastra_folder(build_model(TrainingSettings(d_model=72, n_layers=1)), tmp_path, {})
    before = (tmp_path / "model.pt").read_bytes()
    assert (
        main(["train", "movie/01", "-o", str(tmp_path), "--start-from", f"{tmp_path}/../{tmp_path.name}"])
        == 2
    )
    assert "holds the model to start from; choose another output folder" in capsys.readouterr().err
    assert (tmp_path / "model.pt").read_bytes() == before


def test_links_longer_than_a_window_are_not_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main(["train", "movie/01", "-o", str(out), "--max-gap", "4"]) == 2
    assert "max_gap must be at least 1 and below the window of 4, got 4" in capsys.readouterr().err
    assert not out.exists()
