"""A local HTTP server with byte ranges, versions and faults on demand."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass
class Answers:
    """What the server has, and what it does wrong.

    Attributes:
        files: Content by path.
        etag: Version mark of all files; none is sent if empty.
        ranges: Whether byte ranges are honoured.
        cuts: Bytes after which each of the next answers is cut off.
        failures: Status codes of the next answers.
        requests: Path and Range header of every request so far.
    """

    files: dict[str, bytes]
    etag: str = '"one"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)


class RangeServer:
    """Serves `answers` on 127.0.0.1 while the block runs."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.answers = answers = Answers(files)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                answers.requests.append((self.path, wanted))
                self.close_connection = True
                if answers.failures:
                    return self._head(answers.failures.pop(0), 0)
                if self.path not in answers.files:
                    return self._head(404, 0)
                content, start = answers.files[self.path], 0
                fresh = self.headers.get("If-Range") in (None, answers.etag)
                if wanted and answers.ranges and fresh:
                    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(content):
                        return self._head(416, 0, f"bytes */{len(content)}")
                    place = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    self._head(206, len(content) - start, place)
                else:
                    self._head(200, len(content))
                end = start + answers.cuts.pop(0) if answers.cuts else len(content)
                self.wfile.write(content[start:end])
                return None

            def _head(self, status: int, length: int, content_range: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.send_header("Connection", "close")
                if answers.etag:
                    self.send_header("ETag", answers.etag)
                if content_range:
                    self.send_header("Content-Range", content_range)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "RangeServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
