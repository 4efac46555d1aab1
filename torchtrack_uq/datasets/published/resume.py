"""Downloads over HTTP that go on where they stopped."""

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.progress import byte_progress

_CHUNK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # states of a server that may be over in a moment


class ResumingDownloader:
    """A downloader for `pooch.retrieve` that keeps what it has got, and asks for the rest by HTTP Range.

    pooch's own downloader begins anew after every cut. What was downloaded lies in `part`, with the server's mark of
    the file's version (ETag or date) beside it: a server that has another version by now sends all of it again.

    Args:
        part: Where to keep the beginning of the file, beside its target.
        advice: What to do if the file cannot be had, added to messages.
        checked: Whether the file's hash is known, so that a beginning without a version mark may be trusted.
        progress: Whether to show a progress bar.
        attempts: How often to try again without having got a byte.
        pause: Seconds before the second attempt, doubled for each further one.
        timeout: Seconds without a byte after which an attempt has failed.
    """

    def __init__(
        self,
        part: Path,
        *,
        advice: str = "",
        checked: bool = False,
        progress: bool = True,
        attempts: int = 4,
        pause: float = 1.0,
        timeout: float = 30.0,
    ) -> None:
        self.part, self.advice, self.checked, self.progress = part, advice, checked, progress
        self.attempts, self.pause, self.timeout = attempts, pause, timeout
        self.mark = part.with_name(part.name + ".version")

    def __call__(self, url: str, output_file: Any, pooch: Any, check_only: bool = False) -> bool | None:
        """Download `url` to `output_file`; pooch calls this.

        Raises:
            InputError: The server cannot be reached or does not have the file, or the disk is full.
        """
        if check_only:
            return bool(requests.head(url, timeout=self.timeout, allow_redirects=True).ok)
        failures = 0
        while True:
            before = self._size()
            try:
                if self._fetch(url):
                    break
                continue  # the server has another version: all of it, from the beginning
            except requests.HTTPError as error:
                code = 0 if error.response is None else error.response.status_code
                if code not in _PASSING:
                    missing = "does not exist there" if code in (404, 410) else "is refused"
                    raise InputError(f"{url} {missing} (HTTP {code}); {self.advice}") from error
                reason: Exception = error
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
            ) as error:
                reason = error
            failures = 1 if self._size() > before else failures + 1
            if failures >= self.attempts:
                kept = f"{self._size() / 1e6:.1f} MB are kept; " if self._size() else ""
                raise InputError(
                    f"cannot download from {urlsplit(url).netloc} ({_short(reason)}): check the network and run the "
                    f"same command again; {kept}{self.advice}"
                ) from reason
            time.sleep(self.pause * 2 ** (failures - 1))
        Path(output_file).unlink(missing_ok=True)
        try:
            os.link(self.part, output_file)  # the part stays: hashing takes a while, and may be interrupted
        except OSError:  # a file system without links
            self.part.replace(output_file)
        return None

    def forget(self) -> None:
        """Remove what was kept, once the file is in place or known to be wrong."""
        self.part.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch(self, url: str) -> bool:
        """Append what is missing; returns whether the file is complete, False if it has to begin anew."""
        version = self.mark.read_text() if self.mark.exists() else ""
        have = self._size()
        if have and not (version or self.checked):
            self.part.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity"}  # so that bytes count as on the server's disk
        if have:
            headers["Range"] = f"bytes={have}-"
            if version:
                headers["If-Range"] = version
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            if have and response.status_code == 416:  # nothing after what we have: complete, or another file
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return True
                self.part.unlink()
                return False
            response.raise_for_status()
            resumed = response.status_code == 206
            if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                if not have:
                    raise requests.ConnectionError("the server sends a part that was not asked for")
                self.part.unlink()
                return False
            have = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            self._check_space(total - have if total else 0)
            self._write_mark(response)
            try:
                self._write(response, have, total)
            except OSError as error:
                if isinstance(error, requests.RequestException) or error.errno != errno.ENOSPC:
                    raise
                raise self._full(total - self._size() if total else 0) from error
        return True

    def _write(self, response: requests.Response, have: int, total: int | None) -> None:
        name = self.part.name.removesuffix(".part").strip(".")
        bar = byte_progress(name, total, done=have, show=self.progress)
        with bar, self.part.open("ab" if have else "wb") as stream:
            for chunk in response.iter_content(_CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"the connection ended after {self._size()} of {total} bytes")

    def _write_mark(self, response: requests.Response) -> None:
        etag = response.headers.get("ETag", "")
        # A weak ETag says that two files mean the same, not that their bytes are the same.
        version = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        if version:
            self.mark.write_text(version)
        else:
            self.mark.unlink(missing_ok=True)

    def _check_space(self, wanted: int) -> None:
        if wanted > shutil.disk_usage(self.part.parent).free:
            raise self._full(wanted)

    def _full(self, wanted: int) -> InputError:
        free = shutil.disk_usage(self.part.parent).free
        return InputError(
            f"the disk of {self.part.parent} is full: {wanted / 1e6:.1f} MB more are needed, {free / 1e6:.1f} MB are "
            "free; make room or choose another folder, and run the same command again: what was downloaded is kept"
        )


def _short(error: Exception) -> str:
    """The innermost reason of an error, of the many that requests wraps around it."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return str(error) or type(error).__name__
