"""ZIP archives of a data set."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

NOISE = np.random.default_rng(0).bytes(1_200_000)  # does not compress, so that the archive has several chunks


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


ARCHIVE = zipped({"Set/01/t000.tif": NOISE, "Set/01_GT/TRA/man_track.txt": b"1 0 1 0\n", "__MACOSX/x": b""})
HASH = f"sha256:{hashlib.sha256(ARCHIVE).hexdigest()}"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []
