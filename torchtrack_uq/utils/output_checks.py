"""Refuse places that results cannot or must not go to, before any work is done."""

import os
from collections.abc import Iterable
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.replace_folder import others_in


def check_output_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that results cannot go to, before any work is done.

    Raises:
        InputError: It is a file, lies in a folder that does not exist or cannot be written, or holds files
            while `overwrite` is False.
    """
    try:
        real = folder.resolve()
        if real.exists() and not real.is_dir():
            raise InputError(f"output {folder} is a file; expected a folder")
        if real.is_dir() and others_in(real) and not overwrite:
            raise InputError(
                f"output folder {folder} is not empty; choose another, or replace results with --overwrite (in Python "
                "overwrite=True)"
            )
        existing = real
        while not existing.exists():
            existing = existing.parent
    except (
        OSError,
        RuntimeError,
    ) as error:  # links in a circle, names that are too long, no permission to look
        raise InputError(f"output folder {folder} cannot be used: {error}; choose another") from error
    if not existing.is_dir():
        raise InputError(f"output folder {folder} cannot be made: {existing} is a file; choose another")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"output folder {folder} cannot be made: {existing} is not writable")


def check_apart(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output folder that is, holds or lies in what is read, before any work is done.

    Results among the masks would be read as frames the next time, and --overwrite could replace the masks. Links are
    followed.

    Args:
        folder: Where results shall go.
        inputs: Files and folders that are read.

    Raises:
        InputError: They are not apart.

    >>> check_apart(Path("data/out"), [Path("data/masks")])
    >>> check_apart(Path("data/masks/../masks"), [Path("data/masks")])
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: output folder data/masks/../masks is the folder that frames are read from; ...
    """
    target = _real(folder)
    for given in inputs:
        source = _real(given)
        if target == source:
            how = "is the folder that frames are read from"
        elif source.is_relative_to(target):
            how = f"holds {given}, which is read"
        elif target.is_relative_to(source):
            how = f"lies in {given}, which frames are read from"
        else:
            continue
        raise InputError(
            f"output folder {folder} {how}; results would mix with the input, so choose a folder apart from it"
        )


def check_not_start(folder: Path, start: Path) -> None:
    """Refuse an output folder that holds the model that training starts from.

    Raises:
        InputError: It does.

    >>> check_not_start(Path("runs/new"), Path("runs/old"))
    """
    if _real(folder) == _real(start):
        raise InputError(f"{folder} holds the model to start from; choose another output folder")


def check_file_apart(file: Path, inputs: Iterable[Path | str | None]) -> None:
    """Refuse an output file that is one of the files that are read, by whatever name, or a file among them.

    In folders that are read only JSON may be replaced, which no frame and no track is in, but for zarr's own.

    Args:
        file: What shall be written.
        inputs: Files and folders that are read; None for what was not given.

    Raises:
        InputError: Writing would replace input.

    >>> check_file_apart(Path("data/report.json"), [Path("data/masks"), None])
    >>> check_file_apart(Path("data/points.csv"), [Path("data/../data/points.csv")])
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: output data/points.csv is read by the same command; choose another name
    """
    target = _real(file)
    for given in inputs:
        if given is None:
            continue
        source = _real(Path(given))
        if target == source or (target.exists() and source.exists() and target.samefile(source)):
            raise InputError(f"output {file} is read by the same command; choose another name")
        harmless = target.suffix == ".json" and target.name != "zarr.json"
        if target.is_relative_to(source) and target.exists() and not harmless:
            raise InputError(
                f"output {file} is a file in {given}, which is read; choose another name, so that nothing is lost"
            )


def _real(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} cannot be followed: {error}") from error
