"""Runs commands in forked processes, each as fresh as one of its own and without seconds of imports.

`python -m tests.faults.server` reads one JSON object a line and answers each with one line: {"start": {...}} with the
number of a process, {"wait": number} with how it ended. Faults happen inside of the process, at an event of the file
system that is counted: audit hooks of Python (PEP 578) see them all, and what a hook raises, the call raises.
"""

import contextlib
import errno
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

_CHANGES = {
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.remove",
    "os.link",
    "os.truncate",
    "os.utime",
    "os.chmod",
}


class Fault:
    """Counts what a process changes below a folder; at one of these events it does something to it.

    Args:
        place: Below it, events count.
        at: Which event, from 0; -1 for never.
        what: "kill", "full", "read-only" or "vanish".
        gone: What vanishes.
    """

    def __init__(self, place: str, at: int, what: str, gone: str | None) -> None:
        self.place, self.at, self.what, self.gone = place, at, what, gone
        self.seen = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and any(c in mode for c in "wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            )
            if not writes:
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not os.path.abspath(os.fsdecode(path)).startswith(self.place):
            return
        self.seen += 1
        if self.what == "read-only":
            raise OSError(errno.EROFS, "Read-only file system")
        if self.seen != self.at + 1:
            return
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "full" and event in ("open", "os.mkdir"):
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.what == "full":
            self.at += 1  # to remove and to rename needs no space
        if self.what == "vanish":
            shutil.rmtree(str(self.gone), ignore_errors=True)


def work(asked: dict[str, Any]) -> int:
    """Run one command in this process, with its fault."""
    from torchtrack_uq.cli.main import main

    out = os.open(asked["log"] + ".out", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    err = os.open(asked["log"] + ".err", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.chdir(asked["cwd"])
    fault = Fault(asked["cwd"], asked.get("at", -1), asked.get("what", ""), asked.get("gone"))
    if "size" in asked:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["size"], asked["size"]))
    sys.addaudithook(fault)
    try:
        return main(asked["arguments"])
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        seen = fault.seen
        fault.at, fault.what, fault.place = -1, "", "nowhere"
        if "size" not in asked:
            Path(asked["log"] + ".seen").write_text(str(seen))
        sys.stdout.flush()
        sys.stderr.flush()


def start(asked: dict[str, Any]) -> int:
    """Fork; the child never returns."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            status = work(asked)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def warm_up() -> None:
    """Import what commands import and compile what they compile, so that forked processes need not."""
    import torch

    from torchtrack_uq.cli.main import main

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(place)
        rows = [f"{t},{5 + 9 * k + t},{7 + 3 * k}" for t in range(6) for k in range(4)]
        Path("spots.csv").write_text("\n".join(["frame,y,x", *rows]) + "\n")
        for line in (
            "track --points spots.csv -o out --quiet",
            "simulate -o simulated --frames 4 --cells 5 --size 60,60 --quiet",
            "track -m simulated/01_GT/TRA -o masks --tracker overlap --quiet",
            "sample out -n 3 -o list.csv",
            "lineages out -n 5 -o counts.csv",
            "export out --to trackmate -o tracks.xml",
        ):
            status = main(line.split())
            assert status == 0, line
        os.chdir("/")


def serve() -> None:
    """Answer until there is no more to read."""
    warm_up()
    for line in sys.stdin:
        asked = json.loads(line)
        if "start" in asked:
            answer = start(asked["start"])
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
        print(answer, flush=True)


if __name__ == "__main__":
    serve()
