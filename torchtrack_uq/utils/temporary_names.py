"""Temporary files and folders beside what they become, and their removal when the run that made them has died."""

import hashlib
import os
import re
import secrets
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

from torchtrack_uq.utils.run_identity import RunIdentity, silence_of

_LONGEST = 160
_TRIES, _SURE, _PAUSE = 60, 4, 0.03
_OURS = re.compile(r"\..+\.uq-(?:partial|replacing|lock)(?:-.+)?", re.DOTALL)


def temporary_path(target: Path, kind: str, place: Path | None = None) -> Path:
    """A name for what becomes `target`, of this run and new.

    Args:
        target: What it becomes.
        kind: "partial" until it is complete, "replacing" from then on until it is in place.
        place: The folder that it lies in, by default the target's.

    >>> temporary_path(Path("data/out"), "partial").name  # doctest: +ELLIPSIS
    '.out.uq-partial-...'
    """
    name = f".{short_name(target)}.uq-{kind}-{RunIdentity.here().tag}-{secrets.token_hex(4)}"
    return (target.parent if place is None else place) / name


def short_name(target: Path) -> str:
    """The name of a file or folder, cut where what is added to it would make it too long for a file system.

    >>> short_name(Path("data/out")), len(short_name(Path("x" * 255)))
    ('out', 56)
    """
    if len(os.fsencode(target.name)) <= _LONGEST:
        return target.name
    return f"{target.name[:40]}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}"


def is_temporary(name: str) -> bool:
    """Whether a name is one of those that this package gives to temporary files and folders.

    >>> is_temporary(temporary_path(Path("out"), "partial").name), is_temporary(".out.partial")
    (True, False)
    """
    return _OURS.fullmatch(name) is not None


def temporaries(target: Path, kind: str, place: Path | None = None) -> list[Path]:
    """All of a kind that are there and become `target`, whoever made them."""
    folder = target.parent if place is None else place
    prefix = f".{short_name(target)}.uq-{kind}-"
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name.startswith(prefix) and made_by(name) is not None]


def made_by(name: str) -> RunIdentity | None:
    """The run that gave a temporary name."""
    return RunIdentity.from_tag(name.rpartition(".uq-")[2].partition("-")[2])


def is_left_over(path: Path) -> bool:
    """Whether the run that made a temporary file or folder has ended."""
    run = made_by(path.name)
    return run is not None and run.is_gone(silence_of(path))


def remove_left_over(target: Path, place: Path | None = None) -> None:
    """Remove what dead runs left of their attempts to write `target`."""
    for path in temporaries(target, "partial", place):
        if is_left_over(path):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as it can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


def remove_for_good(path: Path) -> None:
    """Remove a folder that threads of this process may still be writing to, as zarr's do after an interruption."""
    gone = 0
    for _ in range(_TRIES):
        if path.exists():
            gone = 0
            remove(path)
        else:
            gone += 1
        if gone == 1 and sys.exception() is None:
            return  # all went well, and nobody writes any more
        if gone == _SURE:
            return
        time.sleep(_PAUSE)
