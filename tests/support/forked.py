"""Work in a forked process, which may be killed without taking the tests with it."""

import os
import signal
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")


def start(work: Callable[[], object]) -> int:
    """Begin work in a child; returns its process number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, where there are threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def end_of(child: int) -> int:
    """Wait for a child; its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work: Callable[[], object]) -> int:
    """Do work in a child and wait for its end."""
    return end_of(start(work))


def kill_at(monkeypatch: Any, call: str, step: int, *, after: bool = False) -> None:
    """Kill this process as by kill -9 at the `step`-th call (from 0) of a function of `os`, or right after it."""
    do, done = getattr(os, call), []

    def counted(*arguments: Any, **options: Any) -> Any:
        done.append(arguments)
        if len(done) == step + 1 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = do(*arguments, **options)
        if len(done) == step + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    monkeypatch.setattr(os, call, counted)


def contents(folder: Path) -> dict[str, str]:
    """Text of every file below a folder, by its path there."""
    return {str(item.relative_to(folder)): item.read_text() for item in folder.rglob("*") if item.is_file()}


def fill(folder: Path, texts: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
