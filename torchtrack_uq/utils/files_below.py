"""Every file in a folder, those behind links too, in an order that does not depend on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Paths of the files in a folder and in the folders in it, sorted; links to folders are followed.

    A folder that several links lead to is listed once, so that links in a circle end.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     (Path(place) / "there").mkdir()
    ...     (Path(place) / "there" / "t0").touch()
    ...     (Path(place) / "masks").mkdir()
    ...     (Path(place) / "masks" / "link").symlink_to(Path(place) / "there")
    ...     [str(file.relative_to(place)) for file in files_below(Path(place) / "masks")]
    ['masks/link/t0']
    """
    seen = {os.path.realpath(folder)}
    for here, below, files in os.walk(folder, followlinks=True):
        fresh = []
        for name in sorted(below):
            real = os.path.realpath(os.path.join(here, name))
            if real not in seen:
                seen.add(real)
                fresh.append(name)
        below[:] = fresh
        for name in sorted(files):
            yield Path(here) / name
