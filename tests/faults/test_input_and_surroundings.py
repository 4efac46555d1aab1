"""Input that changes or ends during a run, models that give NaN, and surroundings without home, locale or room."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from trackastra.model.model import TrackingTransformer

from tests.faults.counts import count
from tests.faults.test_signals_and_refusals import COMMAND, run, spots
from tests.support.forked import fill
from torchtrack_uq.results import save
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker
from torchtrack_uq.training import TrainingSettings
from torchtrack_uq.training.module import build_model


@pytest.fixture
def seg(tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]) -> Path:
    for t, mask in enumerate(blobs[1]):
        (tmp_path / "seg").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "seg" / f"t{t:03d}.tif", mask)
    return tmp_path / "seg"


@pytest.mark.parametrize(
    "fault", ["moved", "resegmented", "truncated", "removed", "emptied", "another shape"]
)
@pytest.mark.parametrize("tracker", ["distance", "overlap"])
def test_masks_that_change_while_they_are_tracked_are_not_written(
    tmp_path: Path,
    seg: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    tracker: str,
) -> None:
    """By a segmentation that is still running, after all is computed and before anything is written."""
    file, mask = seg / "t002.tif", tifffile.imread(seg / "t002.tif")

    def change() -> None:
        if fault == "truncated":
            file.write_bytes(file.read_bytes()[:200])
        elif fault == "removed":
            file.unlink(missing_ok=True)
        elif fault == "emptied":
            file.write_bytes(b"")
        else:
            new = {"moved": np.roll(mask, 1, 1), "resegmented": np.where(mask == 9, 0, mask)}
            tifffile.imwrite(file, new.get(fault, mask[:, :-1]))

    write = save.write_ctc

    def late(*given: Any, **options: Any) -> None:
        change()
        write(*given, **options)

    monkeypatch.setattr(save, "write_ctc", late)
    arguments = ("track", "-m", seg, "--tracker", tracker, "--quiet", "-o")
    capsys.readouterr()
    status = run(*arguments, tmp_path / "out")
    said = capsys.readouterr().err
    assert status in (1, 2)
    assert said.startswith("torchtrack-uq: ")
    assert said.count("\n") == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["seg"]
    count("changing input", f"track, {tracker}", "one sentence")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_table_that_was_cut_off_is_one_sentence_or_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    """A text that ends after a whole row cannot be told from a shorter one; in the middle of a row it is refused."""
    content = spots(tmp_path / "all.csv").read_bytes()
    cut = content[: int(share * len(content))].rpartition(b",")[0]  # the last row lacks its last number
    (tmp_path / "spots.csv").write_bytes(cut)
    assert run("track", "--points", tmp_path / "spots.csv", "-o", tmp_path / "out", "--quiet") == 2
    said = capsys.readouterr().err
    assert said.startswith("torchtrack-uq: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    count("truncated input", "track points", "one sentence")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("window", [0, 1])
def test_a_model_that_gives_no_number_in_one_window_is_refused(
    tmp_path: Path,
    seg: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: float,
    window: int,
) -> None:
    folder = tmp_path / "model"
    save_trackastra_folder(build_model(TrainingSettings(d_model=72, n_layers=1)), folder, {})
    kind, times = TrackingTransformer, [0]
    forward = kind.forward

    def faulty(self: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        answer = forward(self, *arguments, **options)
        times[0] += 1
        return torch.full_like(answer, value) if times[0] == at else answer

    monkeypatch.setattr(kind, "forward", faulty)
    at = -1
    TrackastraTracker.from_folder(folder)  # tries the model out on a few tokens
    at, times[0] = times[0] + 1 + window, 0
    status = run(
        "track", "-m", seg, "-o", tmp_path / "out", "--tracker", "trackastra", "--model", folder, "--quiet"
    )
    said = capsys.readouterr().err
    assert times[0] >= at
    assert status == 2
    assert said.startswith("torchtrack-uq: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    count("NaN from a model", "track, trackastra", "one sentence")


def test_names_that_are_no_text_are_read_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As disks from before UTF-8 have them; Python holds such bytes as lone surrogates."""
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Zellen \xe4\xff"))
    try:
        place.mkdir()
    except OSError:
        pytest.skip("this file system has names of text only")
    table = spots(place / "spots.csv")
    assert run("track", "--points", table, "-o", place / "out", "--quiet") == 0
    assert json.loads((place / "out" / "settings.json").read_text())["command"][3] == str(table)
    assert run("export", place / "out", "--to", "trackmate", "-o", place / "tracks.xml") == 0
    assert run("track", "--points", table, "-o", place / "out", "--quiet") == 2
    assert "is not empty" in capsys.readouterr().err
    count("names that are no text", "track, export", "complete")


def test_without_home_and_locale_and_with_names_of_any_script(tmp_path: Path) -> None:
    """As a service or a job of a cluster runs it: LC_ALL=C, no home, and no folder for numba."""
    place = tmp_path / "Ünïcode ² 細胞"
    place.mkdir()
    table = spots(place / "spöts.csv")
    fill(place, {"notes": ""})
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "XDG"))}
    env |= {"LC_ALL": "C", "HOME": "/nonexistent"}
    env |= {
        "MPLCONFIGDIR": "/nonexistent/matplotlib",
        "PYTHONIOENCODING": "",
        "NUMBA_CACHE_DIR": "/nonexistent/numba",
    }
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [*COMMAND, "track", "--points", table, "-o", place / "öut", "--quiet"],
        capture_output=True,
        env=env,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (place / "öut" / "links.csv").is_file()
    assert (place / "öut" / "report.html").read_text(encoding="utf-8")
    count("no HOME, LC_ALL=C, unicode paths", "track points", "complete")
