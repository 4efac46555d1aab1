"""Write files and folders so that no reader ever finds half of them."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torchtrack_uq.errors import InputError

_NOTHING = re.compile(r"(?!)")


def write_atomically(file: Path, content: bytes) -> None:
    """Write next to the file, then move into place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def staged_file(file: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary file beside `file` that takes its place when the block ends without an exception.

    Args:
        file: Where the content shall be in the end.
        overwrite: Whether a file that is there is replaced.

    Raises:
        InputError: There is a folder of that name, or a file while `overwrite` is False.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; expected the name of a file to write")
    if file.exists() and not overwrite:
        raise InputError(f"{file} is there already; choose another name, or replace it with --overwrite")
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=file.parent, prefix=f".{file.name}."))
    try:
        yield folder / file.name
        os.replace(folder / file.name, file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_output_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that results cannot go to, before any work is done.

    Raises:
        InputError: It is a file, lies in a folder that does not exist or cannot be written, or holds files
            while `overwrite` is False.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"output {folder} is a file; expected a folder")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InputError(
            f"output folder {folder} is not empty; choose another, or replace results with --overwrite (in Python "
            "overwrite=True)"
        )
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
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
    target = folder.expanduser().resolve()
    for given in inputs:
        source = given.expanduser().resolve()
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


@contextmanager
def staged_folder(
    folder: Path, *, overwrite: bool = False, ours: re.Pattern[str] = _NOTHING
) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends without an exception.

    After an exception, Ctrl-C included, the temporary folder is gone and `folder` is as it was. A new or empty
    folder appears in one rename. With `overwrite`, earlier results in it are replaced file by file (those of
    an earlier run that the new one does not have are removed); files that are not ours stay. Links are followed, and
    a folder that cannot be renamed, such as a mounted one, is filled file by file.

    Args:
        folder: Where the files shall be in the end.
        overwrite: Whether a folder that holds files may be written to.
        ours: Names of files that an earlier run may have written and this one need not write again.

    Raises:
        InputError: See `check_output_folder`; or another run filled the folder in the meantime.
    """
    check_output_folder(folder, overwrite)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=_beside(folder)))
    try:
        yield staging
        if _others(folder, staging) and not overwrite:
            raise InputError(
                f"another run wrote to {folder} in the meantime, so nothing of this one is kept; choose another output "
                "folder, or replace results with --overwrite (in Python overwrite=True)"
            )
        _move_into_place(staging, folder, ours)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _beside(folder: Path) -> Path:
    """Where temporary folders can lie from which files move to `folder`: its parent, unless it stays where it is."""
    stays = folder.exists() and (os.path.ismount(folder) or not os.access(folder.parent, os.W_OK))
    return folder if stays else folder.parent


def _others(folder: Path, staging: Path) -> bool:
    return folder.exists() and any(item != staging for item in folder.iterdir())


def _move_into_place(staging: Path, folder: Path, ours: re.Pattern[str]) -> None:
    staging.chmod(0o777 & ~_umask())
    if staging.parent != folder and not _others(folder, staging):
        if folder.exists():
            folder.rmdir()  # a rename onto an empty folder works on some systems only
        os.replace(staging, folder)
        return
    outdated = Path(tempfile.mkdtemp(prefix=f".{folder.name}.replaced-", dir=staging.parent))
    arrived: list[Path] = []
    restored = True
    try:
        new = {item.name for item in staging.iterdir()}
        for item in list(folder.iterdir()):
            if item.name in new or ours.fullmatch(item.name):
                os.replace(item, outdated / item.name)
        for item in list(staging.iterdir()):
            arrived.append(folder / item.name)
            os.replace(item, folder / item.name)
    except BaseException:
        restored = False  # until everything is back, what was set aside must not be deleted
        for item in arrived:
            if item.exists():
                os.replace(item, staging / item.name)
        for item in list(outdated.iterdir()):
            os.replace(item, folder / item.name)
        restored = True
        raise
    finally:
        if restored:
            shutil.rmtree(outdated, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
