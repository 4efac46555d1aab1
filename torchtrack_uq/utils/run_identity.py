"""Who wrote something: this run, told apart from others on this machine and elsewhere, also after it has died."""

import functools
import hashlib
import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

_SILENT = 24 * 3600.0
_TAG = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-([0-9]{1,12})-([0-9]{1,20})")


@dataclass(frozen=True)
class RunIdentity:
    """A running process.

    Attributes:
        machine: Digest of host name and space of process numbers (a container has its own), 8 hexadecimal digits.
        boot: Digest of what the system calls this start of the machine, 0 where it does not say.
        pid: The process.
        start: When it started, in the system's own ticks, which tells it from a later process of that number.
    """

    machine: str
    boot: str
    pid: int
    start: int

    @classmethod
    def here(cls) -> "RunIdentity":
        """That of this process."""
        pid = os.getpid()
        return cls(*_machine(), pid, _start_of(pid))

    @classmethod
    def from_tag(cls, text: str) -> "RunIdentity | None":
        """What `tag` wrote, at the beginning of a text; None where it does not stand there."""
        found = _TAG.match(text)
        return None if found is None else cls(found[1], found[2], int(found[3]), int(found[4]))

    @property
    def tag(self) -> str:
        """For names of files.

        >>> RunIdentity.from_tag(RunIdentity.here().tag) == RunIdentity.here()
        True
        """
        return f"{self.machine}-{self.boot}-{self.pid}-{self.start}"

    def is_gone(self, silent: float, limit: float = _SILENT) -> bool:
        """Whether the run has ended, as far as can be known.

        Of this machine's processes that is known. Of another machine's it is taken to be so after a long silence.

        Args:
            silent: Seconds since it was last heard of.
            limit: Longest silence of a living run that cannot be asked.

        >>> RunIdentity.here().is_gone(silent=1e9)
        False
        """
        machine, boot = _machine()
        if self.machine != machine or os.name != "posix":
            return silent > limit
        if self.boot != boot:
            return True
        if not _is_running(self.pid):
            return True
        start = _start_of(self.pid)
        if start and self.start:
            return start != self.start
        return silent > limit  # a system that does not tell: the number may have gone to another process


def silence_of(path: Path) -> float:
    """Seconds since a file or folder was last changed, inf if it is gone."""
    try:
        return max(time.time() - path.stat().st_mtime, 0.0)
    except OSError:
        return float("inf")


@functools.cache
def _machine() -> tuple[str, str]:
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        boot = ""
    return _digest(f"{platform.node()} {space}"), _digest(boot)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else "0" * 8


def _start_of(pid: int) -> int:
    """Ticks from the start of the machine to that of a process, 0 where the system does not tell."""
    try:
        return int(_stat(pid)[19])
    except (ValueError, IndexError):
        return 0


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return _stat(pid)[:1] not in (["Z"], ["X"])  # dead, and its parent has not asked how it ended


def _stat(pid: int) -> list[str]:
    """What /proc says of a process, from its state on; empty where the system has no such thing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
