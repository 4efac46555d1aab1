"""A word on standard error while numba compiles the kernels, which otherwise looks like a program that hangs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from numba.core.event import Event, Listener, install_listener
from tqdm import tqdm

NOTICE = "torchtrack-uq: compiling the solvers, once on this machine: half a minute to some minutes, with no bar moving"


@contextmanager
def compile_notice() -> Iterator[None]:
    """Say so once if a kernel of this package has to be compiled in the block; one from numba's cache says nothing.

    >>> with compile_notice():
    ...     pass
    """
    with install_listener("numba:compile", _Notice()):
        yield


class _Notice(Listener):
    """Hears of compilations, and not of what comes from the cache."""

    said = False

    def on_start(self, event: Event) -> None:
        module = event.data["dispatcher"].py_func.__module__
        if not self.said and module.startswith("torchtrack_uq."):
            self.said = True
            tqdm.write(NOTICE, file=sys.stderr)  # which leaves bars whole

    def on_end(self, event: Event) -> None:
        """Nothing to say."""
