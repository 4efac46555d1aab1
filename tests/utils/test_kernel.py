"""Kernels are compiled wherever there is no place to keep them."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core import caching

from torchtrack_uq.utils import kernel as module
from torchtrack_uq.utils.kernel import kernel


def double(x: int) -> int:
    return 2 * x


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_said", set())
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)


@pytest.fixture
def no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a service user, and in a read-only container: neither the package nor the home can be written to."""
    ensure = caching._CacheLocator.ensure_cache_path

    def fail(self: Any) -> None:
        if "torchtrack-uq-numba-" not in self.get_cache_path():
            raise OSError(30, "Read-only file system")
        ensure(self)

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", fail)


@pytest.mark.usefixtures("no_place")
def test_without_a_place_a_private_temporary_folder_is_taken_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.warns(UserWarning, match="compiled solvers are kept in") as said:
        answers = [kernel(double)(4) for _ in range(2)]
    assert answers == [8, 8]
    assert len(said) == 1
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.rglob("*.nbc"))


@pytest.mark.usefixtures("no_place")
@pytest.mark.parametrize("fault", ["others may write", "link", "no temporary folder"])
def test_what_others_may_write_to_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    place = tmp_path / f"torchtrack-uq-numba-{os.getuid()}"
    if fault == "others may write":
        place.mkdir()
        place.chmod(0o777)
    elif fault == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "theirs")
    there = tmp_path / "nowhere" if fault == "no temporary folder" else tmp_path
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(there))
    with pytest.warns(UserWarning, match="cannot be kept, since no folder can be written to"):
        compiled = kernel(double)
    assert compiled(4) == 8
    assert not list(tmp_path.rglob("*.nb?"))


def test_a_kernel_that_a_full_disk_cannot_keep_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", fail)
    compiled = kernel(double)
    with pytest.warns(UserWarning, match="cannot be kept .*No space left.*the next run compiles them again"):
        assert compiled(4) == 8


def test_with_a_place_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel(double)(4) == 8
    assert list(tmp_path.rglob("*.nbc"))


def test_a_home_that_does_not_exist_is_no_hindrance() -> None:
    """In a process of its own, as numba looks for the home when it is imported."""
    code = (
        "from torchtrack_uq.assignment import AssignmentProblem, solve_map\n"
        "print(solve_map(AssignmentProblem.build([0], [0], [1.0], 1, 1)).parent)"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME",)}
    env |= {"HOME": "/nonexistent", "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", "")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "[0]\n"
