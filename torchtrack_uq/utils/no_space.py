"""A disk without room: what its errors say, and how they are known again in what another process said."""

import errno
import os
from pathlib import Path

_CODES = (errno.ENOSPC, errno.EDQUOT)


def advice_without_space(error: OSError, place: Path | str | None) -> str | None:
    """What to do about a full disk, or a quota that is used up, and where; None for other errors.

    Args:
        error: What the system said, or an error that it is the cause of.
        place: Where results were to go, if anybody knows; else the file that the error names.

    >>> advice_without_space(OSError(errno.ENOSPC, "No space left on device"), Path("out"))
    'make room on the disk of out, or choose an output on another one'
    >>> advice_without_space(OSError(errno.EIO, "Input/output error"), Path("out"))
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _CODES:
            where = found.filename if place is None else place
            disk = "the disk" if where is None else f"the disk of {where}"
            return f"make room on {disk}, or choose an output on another one"
        found = found.__cause__
    return None


def tells_of_no_space(text: str) -> bool:
    """Whether what a run said is that there is no room.

    >>> tells_of_no_space("[Errno 28] No space left on device; nothing was written"), tells_of_no_space("no file")
    (True, False)
    """
    return any(os.strerror(code) in text for code in _CODES)
