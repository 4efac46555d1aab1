"""What reels leave on the disk until the movie is put together, and what a run that was killed goes on with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.results.stored_fields import read_archive

Columns = dict[str, NDArray[Any]]


class Store:
    """Arrays by name in a folder; an entry is whole or not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(Path(folder))
    ...     store.put("3.found", {"frame": np.arange(2)})
    ...     store.has("3.found"), store.has("2.found"), store.get("3.found")["frame"].tolist()
    (True, False, [0, 1])
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write an entry.

        Raises:
            OSError: It cannot be written.
        """
        file = self._file(name)
        with (partial := file.with_suffix(".partial")).open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        os.replace(partial, file)

    def get(self, name: str) -> Columns:
        """Read an entry.

        Raises:
            InputError: It is damaged, or not there.
        """
        return read_archive(self._file(name))

    def has(self, name: str) -> bool:
        """Whether an entry is there."""
        return self._file(name).is_file()

    def drop(self, name: str) -> None:
        """Remove an entry, if it is there."""
        self._file(name).unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove all entries."""
        for file in self.folder.glob("*.npz"):
            file.unlink()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npz"
