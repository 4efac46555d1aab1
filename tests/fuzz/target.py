"""What is fuzzed: a way to write something valid, and a way to read it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.mutations import mutated

Files = dict[str, bytes]
"""Contents by path below a folder."""


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: What it reads.
        write: Writes a small valid example into an empty folder.
        read: Reads it from there, all of it.
        suffixes: Endings of the files that are mutated; all by default.
    """

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    suffixes: tuple[str, ...] = ("",)

    def example(self, folder: Path) -> Files:
        """The valid files."""
        self.write(folder)
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }

    def case(self, files: Files, number: int) -> Files:
        """The files of one case; case 0 is the valid one."""
        if not number:
            return dict(files)
        rng = np.random.default_rng([number, *self.name.encode()])
        names = [name for name in files if name.endswith(self.suffixes)]
        changed = dict(files)
        for _ in range(1 if rng.random() < 0.8 else 2):
            name = names[rng.integers(len(names))]
            if rng.random() < 0.02:
                changed.pop(name, None)
            elif name in changed:
                changed[name] = mutated(name, changed[name], rng)
        return changed


def put(files: Files, folder: Path) -> None:
    """Write the files of a case into an empty folder."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
