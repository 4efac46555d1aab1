"""One movie in a process of its own, so that whatever happens to it happens to no other."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from torchtrack_uq.batch.movies import BatchMovie

_CHILD = "torchtrack_uq.cli.child"
_PATIENCE = 60.0
"""Seconds for a run that was asked to end; it has temporary files to remove."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: Its exit status; negative for the signal that killed it.
        seconds: How long it took.
        log: What it said.
    """

    code: int
    seconds: float
    log: str

    @property
    def message(self) -> str:
        """Why it failed, in a sentence; empty if it did not."""
        if self.code == 0:
            return ""
        if self.code < 0:
            memory = "; perhaps the machine was out of memory" if self.code == -9 else ""
            return f"killed by signal {-self.code}{memory}"
        lines = [line for line in self.log.splitlines() if line.strip()]
        return lines[-1].removeprefix("torchtrack-uq: ") if lines else f"ended with exit status {self.code}"


@dataclass
class Running:
    """Runs that are under way, so that they can be asked to end."""

    processes: set["subprocess.Popen[str]"] = field(default_factory=set)
    ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, process: "subprocess.Popen[str]") -> None:
        """One more; asked to end at once if all others were."""
        with self._lock:
            self.processes.add(process)
            if self.ended:
                process.terminate()

    def end(self) -> None:
        """Ask all to end, and those to come."""
        with self._lock:
            self.ended = True
            for process in self.processes:
                with suppress(OSError):
                    process.terminate()


def run_movie(
    movie: BatchMovie, folder: Path, *, overwrite: bool, threads: int | None, running: Running | None = None
) -> Outcome:
    """Track a movie into `folder / movie.name`, as the command line would.

    One that a signal killed is tried once more, since memory may have been short for a moment.

    Args:
        movie: What to track.
        folder: Of all movies.
        overwrite: Whether results that are there are replaced.
        threads: Of torch and numba; None for as many as it takes by itself.
        running: Where the process is noted while it runs.
    """
    start = time.perf_counter()
    arguments = [*movie.arguments, "--quiet", "-o", str(folder / movie.name), *["--overwrite"] * overwrite]
    environment = dict(os.environ)
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
            environment.setdefault(name, str(threads))
        environment.setdefault("OMP_WAIT_POLICY", "passive")
    for attempt in range(2):
        code, log = _call([sys.executable, "-m", _CHILD, "track", *arguments], environment, running)
        if code >= 0 or (running is not None and running.ended) or attempt:
            break
    return Outcome(code, time.perf_counter() - start, log)


def _call(command: list[str], environment: dict[str, str], running: Running | None) -> tuple[int, str]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for the batch, which asks its runs to end
    )
    if running is not None:
        running.add(process)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        log = process.stdout.read()
        return process.wait(), log
    except BaseException:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        raise
    finally:
        process.stdin.close()
        process.stdout.close()
        if running is not None:
            running.processes.discard(process)
