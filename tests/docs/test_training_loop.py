"""The training loop in the documentation runs, on a tiny movie, and is as short as it says."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.docs.pages import DOCS, blocks
from torchtrack_uq import TrackastraTracker

PAGE = DOCS / "training_loop.md"


def test_the_loop_trains_and_saves_a_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write_ctc: Callable[..., Path],
) -> None:
    (code,) = blocks(PAGE, "python")
    assert len(code.splitlines()) < 40
    masks = []
    for t in range(8):
        mask = np.zeros((60, 90), np.uint16)
        mask[5:15, 5 + 3 * t : 15 + 3 * t] = 1
        if t < 4:
            mask[30:40, 40:52] = 2
        else:
            mask[24:32, 40:48], mask[40:48, 40:48] = 3, 4
        masks.append(mask)
    tracks = [(1, 0, 7, 0), (2, 0, 3, 0), (3, 4, 7, 2), (4, 4, 7, 2)]
    write_ctc(masks, tracks, tmp_path / "data" / "Fluo-N2DL-HeLa" / "01")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(code, str(PAGE), "exec"), {})
    losses = [float(x) for x in re.findall(r": ([\d.]+) nats", capsys.readouterr().out)]
    assert len(losses) == 20
    assert np.mean(losses[10:]) < np.mean(losses[:10])
    TrackastraTracker.from_folder(tmp_path / "runs" / "own")
