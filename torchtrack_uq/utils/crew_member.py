"""A process that does the tasks that another one sends; it ends when that one is gone, however it went."""

import os
import pickle
import queue
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO

from torchtrack_uq.utils.crew import Answer

_LENGTH = struct.Struct("<Q")
COMMON, TASK = 0, 1
"""Kinds of messages: what all tasks of a kind of work need, and a task."""


def send(stream: BinaryIO, *parts: bytes) -> None:
    """Write parts that `receive` reads one by one."""
    for part in parts:
        stream.write(_LENGTH.pack(len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> bytes:
    """The next part.

    Raises:
        EOFError: There is none, or not all of it: who wrote is gone.
    """
    head = _exactly(stream, _LENGTH.size)
    return _exactly(stream, _LENGTH.unpack(head)[0])


def _exactly(stream: BinaryIO, n: int) -> bytes:
    found = stream.read(n)
    if len(found) < n:
        raise EOFError
    return found


def answered(work: Callable[[Any, Any], Any], common: Any, task: Any) -> Answer:
    """Do a task, and put what comes of it into words that travel.

    >>> answered(divmod, 7, 2).open()
    (3, 1)
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, error, where = work(common, task), None, ""
        except Exception as raised:
            result, where = None, traceback.format_exc()
            error = _portable(raised)
    said = tuple((str(one.message), one.category) for one in caught)
    return Answer(result, error, where, said)


def _portable(error: Exception) -> Exception:
    """The error, or what it says where it cannot be sent."""
    bare = error.with_traceback(None)
    bare.__cause__ = bare.__context__ = None
    try:
        pickle.loads(pickle.dumps(bare))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return bare


def serve() -> None:
    """Do what comes over standard input, and answer over what was standard output."""
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    work: Callable[[Any, Any], Any] | None = None
    common: Any = None
    for kind, content in iter(_listen(incoming).get, None):
        if kind == COMMON:
            work, common = None, None  # the old one makes room first
            unread = content
            continue
        if work is None:
            try:
                work, common = pickle.loads(unread)
            except Exception as error:
                where = traceback.format_exc()
                send(outgoing, pickle.dumps(Answer(error=_portable(error), where=where)))
                continue
        answer = answered(work, common, pickle.loads(content))
        send(outgoing, pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))


def _listen(incoming: BinaryIO) -> "queue.SimpleQueue[tuple[int, bytes] | None]":
    """Messages as they come, read by a thread of its own, so that an end is noticed in the middle of work."""
    messages: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                messages.put((int.from_bytes(receive(incoming), "little"), receive(incoming)))
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return messages


def command() -> list[str]:
    """How a member is started, with the modules that this process finds."""
    start = (
        "import sys; sys.path[:] = sys.argv[1:]; from torchtrack_uq.utils.crew_member import serve; serve()"
    )
    return [sys.executable, "-c", start, *(path or os.getcwd() for path in sys.path)]
