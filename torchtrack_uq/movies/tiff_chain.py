"""A TIFF's pages are a chain, each saying where the next one is; one that leads back into itself has no end."""

import struct
from pathlib import Path

from torchtrack_uq.errors import InputError

_CLASSIC, _BIG = 42, 43
_LONGEST = 10_000_000
"""Pages; longer chains are not followed."""


def check_page_chain(file: Path) -> None:
    """Refuse a TIFF whose chain of pages leads back to an earlier one, for which readers would look for ever.

    What is no TIFF, or is cut off, is left to the reader to complain about. Layout: TIFF 6.0, section 2, and BigTIFF.

    Raises:
        InputError: The chain is a circle, or longer than any movie.
    """
    with file.open("rb") as stream:
        start = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 16:
            return
        version = struct.unpack(order + "H", start[2:4])[0]
        if version not in (_CLASSIC, _BIG):
            return
        number, where, entry = ("H", "I", 12) if version == _CLASSIC else ("Q", "Q", 20)
        n_bytes, offset_bytes = struct.calcsize(order + number), struct.calcsize(order + where)
        at = 4 if version == _CLASSIC else 8
        offset = struct.unpack(order + where, start[at : at + offset_bytes])[0]
        size = file.stat().st_size
        seen: set[int] = set()
        while offset:
            if offset in seen or len(seen) > _LONGEST:
                raise InputError(
                    f"{file} cannot be read as a TIFF: page {len(seen) + 1} is said to be where an earlier one is, so "
                    "that the file has no end; save it again"
                )
            seen.add(offset)
            if offset + n_bytes > size:
                return
            stream.seek(offset)
            n_entries = struct.unpack(order + number, stream.read(n_bytes))[0]
            following = offset + n_bytes + entry * n_entries
            if following + offset_bytes > size:
                return
            stream.seek(following)
            offset = struct.unpack(order + where, stream.read(offset_bytes))[0]
