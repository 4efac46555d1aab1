"""One case of one reader, and what became of it."""

import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz.target import Files, Target, put
from torchtrack_uq.errors import InputError

SECONDS = 20
"""Of computing, for something small: what waits for ever is ended from outside."""


class TooLongError(BaseException):
    """Not an `Exception`, so that no reader takes it for damage to its file."""


def outcome(target: Target, files: Files, place: Path | None = None) -> str:
    """What became of one case.

    Returns:
        "read", "refused" (as too large where memory did not suffice), or where and what a reader raised that is neither
        `InputError` nor the file system's.
    """
    with tempfile.TemporaryDirectory(dir=place) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # a number that did not fit, silently another one
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"zarr|tifffile|geff|asyncio")
        put(files, Path(folder))
        try:
            with _time_limit():
                target.read(Path(folder))
        except InputError as error:
            if isinstance(error.__cause__, MemoryError):
                return "refused as too large"
            return "refused"
        except OSError as error:
            # of the file system, which has a number; zipfile and others raise it for what they cannot decode
            return "refused" if error.errno is not None else _said(error)
        except (Exception, TooLongError) as error:
            return _said(error)
        return "read"


def _said(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "torchtrack_uq" in f.filename]
    frames = [f for f in frames if "/fuzz/" not in f.filename or isinstance(error, AssertionError)]
    at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {at}: {str(error)[:100]!r}"


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLongError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
