"""One run at a time writes to a place: a small file beside it says who, and a dead run's is not minded."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.run_identity import RunIdentity, silence_of
from torchtrack_uq.utils.temporary_names import remove_left_over, short_name, temporary_path

_BEAT = 20.0
_SILENT = 300.0
_HELD: dict[Path, tuple[int, int]] = {}
"""Files that this process holds, with process and thread: a claim within a claim is none of another run."""


@dataclass
class Claim:
    """A place that this run alone writes to.

    Attributes:
        file: Says so to others, and is touched now and then while the run lives.
        text: What it says.
    """

    file: Path
    text: str
    _over: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Make sure that nobody has taken the place over, as after this run was silent for long.

        Raises:
            InputError: Somebody has.
        """
        if _content(self.file) != self.text:
            raise InputError(
                f"another run has taken over the place of this one ({self.file} is no longer of it), so nothing of it "
                "is kept; run the command again with another output folder"
            )

    def beat(self) -> None:
        """Touch the file every now and then, so that other machines see that the run lives."""
        while not self._over.wait(_BEAT):
            with suppress(OSError):
                os.utime(self.file)

    def release(self) -> None:
        """Give the place back."""
        self._over.set()
        if _content(self.file) == self.text:
            with suppress(OSError):
                self.file.unlink()


@contextmanager
def claimed(folder: Path, place: Path) -> Iterator[Claim]:
    """In the block this run alone writes to `folder`.

    Nothing but the making of a file that was not there is asked of the file system, so it holds on networks too. A run
    of this machine that was killed leaves a claim that is known to be void; of another machine's it is known after
    five minutes without a sign of life.

    Args:
        folder: Where results shall go; it need not exist.
        place: An existing folder that can be written to, in which the claim is laid down.

    Raises:
        InputError: Another run is writing there, or the claim cannot be laid down.
    """
    file = _file_of(folder, place)
    holder = (os.getpid(), threading.get_ident())
    if _HELD.get(file) == holder:
        yield Claim(file, _content(file))
        return
    claim = Claim(
        file, f"{RunIdentity.here().tag} {os.getpid()} {os.uname().nodename if os.name == 'posix' else ''}"
    )
    laid_down = False
    try:
        with held_signals():  # which end the run at the end of this block, when the claim is there already
            _lay_down(claim, folder)
            laid_down, _HELD[file] = True, holder
        threading.Thread(target=claim.beat, daemon=True, name="claim").start()
        yield claim
    finally:
        if laid_down:
            with held_signals():
                _HELD.pop(file, None)
                claim.release()


def clear_up(folder: Path, place: Path) -> None:
    """Remove what a dead run left that was killed after all its work was done, where nothing else is to do.

    Args:
        folder: Complete results.
        place: Where claims on it are laid down.
    """
    if _file_of(folder, place).exists():
        with suppress(InputError), claimed(folder, place):
            remove_left_over(folder, place)


def _file_of(folder: Path, place: Path) -> Path:
    return place / f".{short_name(folder)}.uq-lock"


def _lay_down(claim: Claim, folder: Path) -> None:
    for _ in range(3):
        try:
            handle = os.open(claim.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            _take_over(claim.file, folder)
            continue
        except OSError as error:
            what = (
                "its name is too long"
                if error.errno == errno.ENAMETOOLONG
                else (error.strerror or str(error))
            )
            raise InputError(
                f"output {folder} cannot be written: {what} ({claim.file.parent}); choose another place"
            ) from error
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(claim.text)
        except OSError as error:
            with suppress(OSError):
                claim.file.unlink()
            raise InputError(
                f"output {folder} cannot be written: {error.strerror or error} ({claim.file.parent}); make room or "
                "choose another place"
            ) from error
        return
    raise _taken(claim.file, folder, _content(claim.file))


def _take_over(file: Path, folder: Path) -> None:
    """Remove the claim of a run that has ended.

    Raises:
        InputError: The run lives, or may.
    """
    text, silent = _content(file), silence_of(file)
    if silent == float("inf"):
        return  # it has just been given back
    run = RunIdentity.from_tag(text)
    gone = silent > _SILENT if run is None else run.is_gone(silent, _SILENT)
    if not gone:
        raise _taken(file, folder, text)
    aside = temporary_path(file, "partial")
    try:
        os.rename(file, aside)
    except FileNotFoundError:
        return
    if _content(aside) != text:  # another run was faster, and this is its claim
        with suppress(OSError):
            os.link(aside, file)
    with suppress(OSError):
        aside.unlink()


def _taken(file: Path, folder: Path, text: str) -> InputError:
    parts = text.split(" ", 2)
    who = f"process {parts[1]} on {parts[2]}" if len(parts) == 3 else "which has just begun"
    return InputError(
        f"another run ({who}) is writing to {folder}; wait until it is done, or choose another output folder (if there "
        f"is no such run, remove {file})"
    )


def _content(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
