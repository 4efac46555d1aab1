"""Unpack an archive completely or not at all, and nowhere but into its folder."""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.progress import byte_progress
from torchtrack_uq.utils.temporary_names import remove, remove_left_over, temporary_path

_CHUNK = 1 << 20
_HARMLESS = 1 << 30
_LARGEST_RATIO = 200
_MOST_FILES = 2_000_000


def unpack_zip(
    archive: Path,
    folder: Path,
    *,
    finish: Callable[[Path], None] | None = None,
    progress: bool = True,
) -> None:
    """Unpack a ZIP archive to a new folder, which appears in one rename when all of it is there.

    If everything in the archive lies in one folder, that folder is left out: its content becomes that of `folder`.

    Args:
        archive: The archive; it stays.
        folder: A folder that does not exist yet, or is empty.
        finish: Called with the folder before it gets its name, to add files.
        progress: Whether to show a progress bar.

    Raises:
        InputError: The archive is damaged, has members that point outside of it, would unpack to what no images
            would, or the disk is full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(folder)
    staging = temporary_path(folder, "partial")
    try:
        staging.mkdir()
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            size = sum(info.file_size for info, _ in members)
            _check_ratio(archive, size)
            if size > shutil.disk_usage(staging).free:
                raise _full(archive, size)
            with byte_progress(f"unpacking {archive.name}", size, show=progress) as bar:
                for info, path in members:
                    target = staging / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(info) as source, target.open("wb") as stream:
                        while chunk := source.read(_CHUNK):
                            stream.write(chunk)
                            bar.update(len(chunk))
        if finish is not None:
            finish(staging)
        staging.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        os.replace(staging, folder)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        UnicodeDecodeError,
    ) as error:
        raise InputError(
            f"{archive} cannot be unpacked: {error}; remove it and run the same command again to download it anew"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _full(archive, size) from error
        raise
    finally:
        with held_signals():
            remove(staging)


def _members(opened: zipfile.ZipFile, archive: Path) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Files of an archive and where each goes, below the folder."""
    found: list[tuple[zipfile.ZipInfo, PurePosixPath]] = []
    if len(opened.infolist()) > _MOST_FILES:
        raise InputError(
            f"{archive} holds {len(opened.infolist())} files, more than {_MOST_FILES}; nothing was unpacked: do not "
            "use this archive"
        )
    for info in opened.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if not info.filename:
            raise InputError(
                f"{archive} holds a file without a name; nothing was unpacked: do not use this archive"
            )
        outside = path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts)
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(
                f"{archive} holds {info.filename!r}, a link or a path outside of the archive; nothing was unpacked: "
                "do not use this archive"
            )
        if not info.is_dir() and path.parts and path.parts[0] != "__MACOSX" and path.name != ".DS_Store":
            found.append((info, path))
    if not found:
        raise InputError(f"{archive} holds no file; remove it and run the same command again")
    tops = {path.parts[0] for _, path in found}
    if len(tops) == 1 and all(len(path.parts) > 1 for _, path in found):
        found = [(info, PurePosixPath(*path.parts[1:])) for info, path in found]
    return found


def _check_ratio(archive: Path, size: int) -> None:
    """Refuse what unpacks to far more than images do: real archives of this catalogue are under 10 times as large."""
    packed = archive.stat().st_size
    if size > _HARMLESS and size > _LARGEST_RATIO * packed:
        raise InputError(
            f"{archive} of {packed / 1e6:.1f} MB would unpack to {size / 1e6:.0f} MB, {size / packed:.0f} times as "
            "much, which images do not; nothing was unpacked: do not use this archive"
        )


def _full(archive: Path, size: int) -> InputError:
    free = shutil.disk_usage(archive.parent).free
    return InputError(
        f"the disk of {archive.parent} is full: unpacking {archive.name} needs {size / 1e6:.1f} MB, "
        f"{free / 1e6:.1f} MB are free; make room and run the same command again: the archive is kept"
    )
