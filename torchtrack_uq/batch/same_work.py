"""Whether work that was done before is the work that is asked for now."""

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torchtrack_uq import __version__
from torchtrack_uq.batch.movies import BatchMovie
from torchtrack_uq.utils.files_below import files_below


@dataclass(frozen=True)
class Fingerprint:
    """What results depend on.

    Attributes:
        version: Of the package.
        arguments: Of `track`.
        stamps: SHA-256 of names, sizes and times of all input files: enough if it is the same.
        content: SHA-256 of names and contents, which counts where only times differ.
    """

    version: str
    arguments: tuple[str, ...]
    stamps: str
    content: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def fingerprint(movie: BatchMovie) -> Fingerprint:
    """Of a movie as it is now; reads all of it."""
    return Fingerprint(__version__, movie.arguments, _stamps(movie), _content(movie))


def difference(movie: BatchMovie, before: dict[str, Any]) -> str | None:
    """In what a movie differs from one with an earlier fingerprint, in words; None if in nothing.

    >>> movie = BatchMovie("a", ("--points=a.csv",), ())
    >>> difference(movie, fingerprint(movie).as_json())
    >>> difference(BatchMovie("a", ("--points=a.csv", "--stride=2"), ()), fingerprint(movie).as_json())
    'other options'
    """
    if before.get("version") != __version__:
        return f"version {before.get('version')} of torchtrack-uq"
    if list(before.get("arguments", ())) != list(movie.arguments):
        return "other options"
    if before.get("stamps") != _stamps(movie) and before.get("content") != _content(movie):
        return "other input: files have changed since"
    return None


def _files(movie: BatchMovie) -> Iterator[tuple[str, Path]]:
    for k, given in enumerate(movie.inputs):
        if given.is_dir():
            for path in files_below(given):
                yield f"{k}/{path.relative_to(given).as_posix()}", path
        else:
            yield f"{k}", given


def _stamps(movie: BatchMovie) -> str:
    digest = hashlib.sha256()
    for name, path in _files(movie):
        try:
            found = path.stat()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode(errors="surrogateescape"))
        except OSError as error:
            digest.update(_unreadable(name, error))
    return digest.hexdigest()


def _content(movie: BatchMovie) -> str:
    digest = hashlib.sha256()
    for name, path in _files(movie):
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise OSError("no file")  # such as a pipe, which nobody may ever write to
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"{name}\0{content}\0".encode(errors="surrogateescape"))
        except OSError as error:
            digest.update(_unreadable(name, error))
    return digest.hexdigest()


def _unreadable(name: str, error: OSError) -> bytes:
    """Stands for a file that cannot be read, such as a link to nowhere: whether that matters, its run will say."""
    return f"{name}\0unreadable {error.errno}\0".encode(errors="surrogateescape")
