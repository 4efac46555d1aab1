"""Asks the server of `tests.faults.server` for runs of commands."""

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: Exit status, or minus the signal that killed it.
        out: Standard output.
        err: Standard error.
        seen: Changes to the file system in its folder; 0 where it was killed.
    """

    status: int
    out: str
    err: str
    seen: int


class Runner:
    """Starts commands and waits for them.

    Args:
        logs: A folder for what they print.
    """

    def __init__(self, logs: Path) -> None:
        self.logs, self._count = logs, itertools.count()
        self._logs: dict[int, Path] = {}
        command = [sys.executable, "-m", "tests.faults.server"]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def start(self, arguments: Sequence[object], cwd: Path, **fault: Any) -> int:
        """Begin a command in a folder; returns its process number. `fault` as `server.Fault` and `size` have it."""
        log = self.logs / str(next(self._count))
        asked = {"arguments": [str(one) for one in arguments], "cwd": str(cwd), "log": str(log), **fault}
        process = self._ask({"start": asked})
        self._logs[process] = log
        return process

    def end(self, process: int) -> Ended:
        """Wait for it."""
        status, log = self._ask({"wait": process}), self._logs.pop(process)
        texts = [log.with_name(f"{log.name}.{kind}") for kind in ("out", "err", "seen")]
        out, err, seen = (file.read_text() if file.exists() else "" for file in texts)
        return Ended(status, out, err, int(seen or 0))

    def run(self, arguments: Sequence[object], cwd: Path, **fault: Any) -> Ended:
        """Begin a command and wait for it."""
        return self.end(self.start(arguments, cwd, **fault))

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()

    def _ask(self, what: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, "the server has ended"
        return int(answer)
