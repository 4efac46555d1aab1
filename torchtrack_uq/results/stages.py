"""What a long run has worked out so far, kept on the disk, so that the same command goes on where a killed one was."""

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq import __version__
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.naming import Naming
from torchtrack_uq.results.stored_fields import as_tensors, put_fields, read_archive, take_fields
from torchtrack_uq.utils.files import write_atomically
from torchtrack_uq.utils.files_below import files_below
from torchtrack_uq.utils.optional import installed_version
from torchtrack_uq.utils.placed import uncounted

LEAST_SECONDS = 20.0
"""Work that took less is done again sooner than it is read."""
_WATCHED = ("torch", "numpy", "trackastra")
"""Packages that may change numbers."""
Kept = TypeVar("Kept", Detections, CandidateGraph)


def work_digest(arguments: Sequence[str], inputs: Sequence[Path]) -> str:
    """SHA-256 of all that results depend on: options, names, sizes and times of the input files, versions.

    Args:
        arguments: Options that may change a number.
        inputs: Files and folders that are read.
    """
    digest = hashlib.sha256()
    versions = {name: installed_version(name) for name in _WATCHED}
    digest.update(json.dumps([__version__, versions, list(arguments)]).encode())
    for name, path in _files(inputs):
        try:
            found = path.stat()
        except OSError as error:  # as a link to nowhere: whether it matters, the reader of the movie knows
            digest.update(os.fsencode(f"{name}\0unreadable {error.errno}\0"))
        else:
            digest.update(os.fsencode(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0"))
    return digest.hexdigest()


def _files(inputs: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for given in inputs:
        if given.is_dir():
            for file in files_below(given):
                yield str(file.resolve()), file
        elif given.exists():
            yield str(given.resolve()), given


@dataclass(frozen=True)
class Stages:
    """Stages of one run, in a hidden folder beside its output.

    Attributes:
        folder: Made when a stage took so long that it is worth keeping.
        digest: Of the work; what was kept of other work is deleted.
    """

    folder: Path
    digest: str

    @classmethod
    def beside(cls, output: Path, digest: str) -> "Stages":
        """Those of a run that writes to `output`."""
        whole = output.resolve()
        stages = cls(whole.parent / f".{whole.name}.stages", digest)
        if stages.folder.is_dir() and stages._noted() != digest:
            stages.forget()
        return stages

    @property
    def kept(self) -> list[str]:
        """Names of stages that need not be done again."""
        return sorted(file.stem for file in self.folder.glob("*.npz")) + ["reels"] * self._reels.is_dir()

    def detections(self, work: Callable[[], Detections]) -> Detections:
        """Measured cells, from the disk if an earlier run got as far."""
        return self._stage("cells", work, _cells_of)

    def candidates(self, work: Callable[[], CandidateGraph]) -> CandidateGraph:
        """Scored links, likewise."""
        return self._stage("scores", work, _graph_of)

    @contextmanager
    def reels(self) -> Iterator[Path]:
        """A folder for what is known of each reel of a long movie; it stays when the block is interrupted.

        Raises:
            OSError: It cannot be made.
        """
        with uncounted():
            write_atomically(self.folder / "digest.txt", self.digest.encode())
        self._reels.mkdir(exist_ok=True)
        try:
            yield self._reels
        except Exception:  # such as a full disk, which it would keep full
            shutil.rmtree(self._reels, ignore_errors=True)
            if not self.kept:
                self.forget()
            raise

    def forget(self) -> None:
        """Delete all that was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _reels(self) -> Path:
        return self.folder / "reels"

    def _stage(
        self,
        name: str,
        work: Callable[[], Kept],
        read: Callable[[dict[str, NDArray[Any]], dict[str, Any]], Kept],
    ) -> Kept:
        file = self.folder / f"{name}.npz"
        if file.is_file():
            try:
                arrays = read_archive(file)
                return read(arrays, json.loads(arrays.pop("facts").tobytes()))
            except (InputError, KeyError, TypeError, ValueError):  # damaged: done again
                file.unlink(missing_ok=True)
        begun = time.monotonic()
        found = work()
        if time.monotonic() - begun >= LEAST_SECONDS:
            self._keep(file, found)
        return found

    def _keep(self, file: Path, found: Detections | CandidateGraph) -> None:
        arrays: dict[str, NDArray[Any]] = {}
        facts: dict[str, Any] = {}
        put_fields("kept", found, arrays, facts)
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        try:
            with uncounted():
                write_atomically(self.folder / "digest.txt", self.digest.encode())
                write_atomically(file, content.getvalue())
        except OSError:  # a full disk is no reason to stop: nothing but time is at stake
            file.unlink(missing_ok=True)

    def _noted(self) -> str:
        try:
            return (self.folder / "digest.txt").read_text()
        except OSError:
            return ""


def _cells_of(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Detections:
    naming = Naming(**take_fields("kept.naming", arrays, facts))
    return Detections(**take_fields("kept", arrays, facts), naming=naming)


def _graph_of(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> CandidateGraph:
    return CandidateGraph(**as_tensors(take_fields("kept", arrays, facts)))
