"""napari's question to every reader: is this yours? Answered without importing what reads it."""

import os
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

_FILE = "state.npz"
_MEMBERS = {"facts.npy", "detections.frame.npy"}
_READ = "torchtrack_uq.napari_plugin.opened", "read_layers"

PathOrPaths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Reader: TypeAlias = Callable[[PathOrPaths], list[Any]]


def get_reader(path: PathOrPaths) -> Reader | None:
    """What reads a folder that `torchtrack-uq track` wrote (or its `state.npz`); None for anything else.

    Args:
        path: As napari hands it over: a path, or several.

    Returns:
        A function of the same path that returns layer data tuples (see `to_napari`).

    >>> get_reader("/a/movie.tif") is None
    True
    """
    return None if _folder(path) is None else _read


def _read(path: PathOrPaths) -> list[Any]:
    module, name = _READ
    found: list[Any] = getattr(import_module(module), name)(_folder(path))
    return found


def _folder(path: PathOrPaths) -> Path | None:
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if len(paths) != 1:
        return None
    one = Path(paths[0])
    file = one if one.name == _FILE else one / _FILE
    try:
        with zipfile.ZipFile(file) as archive:
            return file.parent if set(archive.namelist()) >= _MEMBERS else None
    except (OSError, zipfile.BadZipFile):
        return None
