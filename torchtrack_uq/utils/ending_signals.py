"""Signals that end a program: answered with an exception, and held back where work must not be torn apart."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPPING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK") if hasattr(signal, name)
)
"""What ends a program beside Ctrl-C, as far as the system has it and lets a program answer."""


class Stopped(KeyboardInterrupt):
    """A signal that ends the program, answered as Ctrl-C is, so that everything that cleans up does so.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@contextmanager
def stopping_signals() -> Iterator[None]:
    """In the block SIGTERM, SIGHUP and SIGQUIT raise `Stopped`; those that are ignored, as by nohup, stay so.

    Outside of the main thread, which Python tells of signals, nothing changes.

    >>> with stopping_signals():
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except KeyboardInterrupt as stopped:
    ...         print(type(stopped).__name__, stopped)
    Stopped ended by SIGTERM
    """
    with _answered(_STOPPING, _stop):
        yield


def interruption_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interruption that an error arose from, as where a library was stopped in its import and is imported again.

    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt("ended by SIGTERM")
    ...     finally:
    ...         import no_such_module
    ... except ImportError as error:
    ...     interruption_behind(error)
    KeyboardInterrupt('ended by SIGTERM')
    """
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        if isinstance(behind, KeyboardInterrupt):
            return behind
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return None


@contextmanager
def held_signals() -> Iterator[None]:
    """What Ctrl-C and ending signals would do in the block they do at its end, even if it ends with an exception.

    >>> try:
    ...     with held_signals():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("done")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    done
    interrupted
    """
    came: list[int] = []
    try:
        with _answered((signal.SIGINT, *_STOPPING), lambda number, _: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _answered(numbers: tuple[signal.Signals, ...], answer: Any) -> Iterator[None]:
    """Signals get an answer in the block; ignored ones, and those that another language handles, do not."""
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in numbers}
        before = {number: was for number, was in handlers.items() if was not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, answer)
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(f"ended by {signal.Signals(number).name}", number)
