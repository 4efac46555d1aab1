"""Write files so that no reader ever finds half of them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.placed import count_placed
from torchtrack_uq.utils.temporary_names import remove, remove_left_over, temporary_path


def write_atomically(file: Path, content: bytes) -> None:
    """Write next to the file, then move into place; a link to a file stays one."""
    write_together({file: content})


def write_together(contents: Mapping[Path, bytes], *, overwrite: bool = True) -> None:
    """Write several files that belong together: all next to their places, and then they move, with nothing in between.

    Args:
        contents: What to write where.
        overwrite: Whether files that are there are replaced.

    Raises:
        InputError: A file appeared while `overwrite` is False; none of ours is kept.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_together({Path(folder) / "model.pt": b"weights", Path(folder) / "config.yaml": b"width: 1"})
    ...     sorted(os.listdir(folder))
    ['config.yaml', 'model.pt']
    """
    staged: dict[Path, Path] = {}
    try:
        for file, content in contents.items():
            target = file.resolve()
            if target.exists() and not target.is_file():
                target.write_bytes(content)  # /dev/null and the like; of a folder it says what is wrong
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_left_over(target)
            staged[target] = temporary_path(target, "partial")
            with os.fdopen(_open_new(staged[target]), "wb") as stream:
                stream.write(content)
        with held_signals():
            placed: list[Path] = []
            try:
                for target, temporary in staged.items():
                    _move_into_place(temporary, target, overwrite)
                    placed.append(target)
            except BaseException:
                for target in () if overwrite else placed:
                    remove(target)
                raise
            count_placed()
    finally:
        with held_signals():
            for temporary in staged.values():
                remove(temporary)


def check_output_file(file: Path, overwrite: bool) -> None:
    """Refuse a file that results cannot go to, before any work is done.

    Raises:
        InputError: It is a folder, is there while `overwrite` is False, or cannot be made.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; expected the name of a file to write")
    if file.exists() and not file.is_file():
        raise InputError(f"{file} is no file but a device or a pipe; expected the name of a file to write")
    if file.exists() and not overwrite:
        raise InputError(f"{file} is there already; choose another name, or replace it with --overwrite")
    existing = file.absolute().parent
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"{file} cannot be written: {existing} is a file; choose another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{file} cannot be written: {existing} is not writable; choose another place")


@contextmanager
def staged_file(file: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary file beside `file` that takes its place when the block ends without an exception.

    Args:
        file: Where the content shall be in the end.
        overwrite: Whether a file that is there is replaced; one that appears in the meantime is not either.

    Raises:
        InputError: There is a folder of that name, or a file while `overwrite` is False.
    """
    check_output_file(file, overwrite)
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(file)
    folder = temporary_path(file, "partial")
    try:
        folder.mkdir()
        yield folder / file.name
        with held_signals():
            _move_into_place(folder / file.name, file, overwrite)
            count_placed()
    finally:
        with held_signals():
            remove(folder)


def _move_into_place(staged: Path, file: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(staged, file)
        return
    try:
        os.link(staged, file)  # unlike a rename, it replaces nothing
    except FileExistsError as error:
        raise InputError(
            f"{file} appeared in the meantime and was left as it is; choose another name, or --overwrite"
        ) from error
    except OSError:  # a file system without links
        if file.exists():
            raise InputError(
                f"{file} appeared in the meantime and was left as it is; choose another name, or --overwrite"
            ) from None
        os.replace(staged, file)


def _open_new(file: Path) -> int:
    return os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o644)
