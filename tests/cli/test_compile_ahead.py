"""What is compiled ahead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from tests.utils.test_compile_notice import new_kernel
from torchtrack_uq.cli import compile_ahead
from torchtrack_uq.cli.main import main
from torchtrack_uq.utils.compile_notice import NOTICE

ELSEWHERE = """
import numpy as np
from torchtrack_uq import UncertainTracker
from torchtrack_uq.layers.registry import METHODS
masks = np.zeros((4, 32, 48), np.uint16)
for t in range(4):
    masks[t, 4:10, 5 + t : 11 + t], masks[t, 20:27, 30 - t : 36 - t] = 1, 2
for tracker in ("distance", "overlap", "activity"):
    for method in METHODS:
        UncertainTracker(tracker, method).track(None, masks, progress=False)
"""


@pytest.mark.nightly
def test_every_kernel_that_python_calls_is_among_them() -> None:
    """A kernel is there in this process once it was called, or once a kernel that was compiled here called it."""
    compile_ahead.use_every_kernel()
    kernels = {
        value
        for name, module in list(sys.modules.items())
        if name.startswith("torchtrack_uq.")
        for value in vars(module).values()
        if isinstance(value, Dispatcher)
    }
    called_by_kernels = {name for kernel in kernels for name in kernel.py_func.__code__.co_names}
    unused = {kernel.__name__ for kernel in kernels if not kernel.signatures} - called_by_kernels
    assert len(kernels) > 50
    assert not unused


def test_what_was_compiled_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_ahead, "use_every_kernel", lambda: None)
    assert main(["compile"]) == 0
    assert capsys.readouterr() == ("the solvers had been compiled already\n", "")
    monkeypatch.setattr(compile_ahead, "use_every_kernel", lambda: new_kernel("torchtrack_uq.assignment")(1))
    assert main(["compile", "--quiet"]) == 0
    assert capsys.readouterr() == ("1 kernels compiled\n", "")
    assert main(["compile"]) == 0
    assert NOTICE in capsys.readouterr().err


@pytest.mark.nightly
def test_nothing_is_left_to_compile_for_who_tracks_afterwards(tmp_path: Path) -> None:
    count = "from torchtrack_uq.utils.compile_notice import compile_notice\n"
    count += "with compile_notice(show=False) as notice:\n"
    body = "".join(f"    {line}\n" for line in ELSEWHERE.strip().splitlines())
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c"]
    ahead = "from torchtrack_uq.cli.main import main; main(['compile', '--quiet'])"
    said = subprocess.run([*command, ahead], env=environment, capture_output=True, text=True, check=True)
    assert int(said.stdout.split()[0]) > 50
    after = f"{count}{body}print(notice.compiled)"
    said = subprocess.run([*command, after], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "0\n"
