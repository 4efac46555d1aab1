"""The one decorator under which every kernel of the assignment engine is compiled."""

import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_said: set[str] = set()


def kernel(function: AnyFunction) -> AnyFunction:
    """Compile `function` to machine code that is cached on disk and runs without the GIL.

    `error_model="numpy"` keeps the inner loops free of division checks: a division by zero gives inf or
    NaN. Where neither the package's folder nor the home can be written to, as for a service or in a container, the code
    is kept in a private folder for temporary files, else in memory; a warning says so.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        folder = _private_folder()
        if folder is None:
            _say(
                "compiled solvers cannot be kept, since no folder can be written to: each run compiles them again, "
                "which takes half a minute to some minutes; set NUMBA_CACHE_DIR to a folder that can be written to"
            )
            return cast(AnyFunction, numba.njit(**options)(function))
        _say(
            f"compiled solvers are kept in {folder}, since neither the package nor the home can be written to; set "
            "NUMBA_CACHE_DIR to keep them elsewhere"
        )
        setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010  # not in its type stubs
        compiled = numba.njit(cache=True, **options)(function)
    _survive_full_disks(compiled)
    return cast(AnyFunction, compiled)


def _survive_full_disks(compiled: Any) -> None:
    """A kernel that cannot be written to the cache is used all the same."""
    cache: Any = getattr(compiled, "_cache", None)
    save = getattr(cache, "save_overload", None)
    if save is None:
        return

    def save_if_possible(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError as error:
            _say(f"compiled solvers cannot be kept ({error}): the next run compiles them again")

    cache.save_overload = save_if_possible


def _private_folder() -> Path | None:
    """A folder of this user alone: what lies in a cache is run, so that nobody else may put anything there."""
    if os.name != "posix":
        return None
    folder = Path(tempfile.gettempdir()) / f"torchtrack-uq-numba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if private else None


def _say(sentence: str) -> None:
    if sentence not in _said:
        _said.add(sentence)
        warnings.warn(sentence, stacklevel=3)
