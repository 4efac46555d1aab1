"""A word on standard error while numba compiles the kernels, which otherwise looks like a program that hangs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.event import Event, Listener, install_listener
from tqdm import tqdm

NOTICE = "torchtrack-uq: compiling the solvers, once on this machine: half a minute to some minutes"


@contextmanager
def compile_notice(*, show: bool = True) -> Iterator["CompileNotice"]:
    """Say so if kernels of this package have to be compiled in the block, and count them; not those in numba's cache.

    Args:
        show: False counts and says nothing.

    Yields:
        CompileNotice: `.compiled` is how many kernels have been compiled so far.

    >>> with compile_notice() as notice:
    ...     pass
    >>> notice.compiled
    0
    """
    notice = CompileNotice(show)
    try:
        with install_listener("numba:compile", notice):
            yield notice
    finally:
        notice.close()


class CompileNotice(Listener):
    """Hears of compilations, and not of what comes from the cache.

    Attributes:
        compiled: Kernels that have been compiled, those that others call included.
    """

    def __init__(self, show: bool) -> None:
        super().__init__()
        self.compiled = 0
        self._show = show
        self._bar: tqdm[Any] | None = None

    def on_start(self, event: Event) -> None:
        """A kernel's name, beside how many there were and how long it has taken."""
        name = _our_kernel(event)
        if name is None or not self._show:
            return
        if self._bar is None:
            tqdm.write(NOTICE, file=sys.stderr)  # which leaves other bars whole
            self._bar = tqdm(
                desc="compiling",
                bar_format="{desc}: {n} kernels in {elapsed}{postfix}",
                leave=False,
                mininterval=0,
            )
        self._bar.set_postfix_str(f"now {name}")

    def on_end(self, event: Event) -> None:
        """One more."""
        if _our_kernel(event) is not None:
            self.compiled += 1
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _our_kernel(event: Event) -> str | None:
    """Name of what is compiled, None for a function of numba's own or of somebody else's."""
    function = event.data["dispatcher"].py_func
    return str(function.__name__) if function.__module__.startswith("torchtrack_uq.") else None
