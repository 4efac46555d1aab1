"""How many outputs this process has put in place: an interruption after the first is not one of nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

_placed = 0


def count_placed() -> None:
    """One more."""
    global _placed
    _placed += 1


def placed_so_far() -> int:
    """How many files and folders have taken their place.

    >>> before = placed_so_far()
    >>> count_placed()
    >>> placed_so_far() - before
    1
    """
    return _placed


@contextmanager
def uncounted() -> Iterator[None]:
    """In the block files take their place that are no outputs, but for the next run to go on with.

    >>> before = placed_so_far()
    >>> with uncounted():
    ...     count_placed()
    >>> placed_so_far() - before
    0
    """
    global _placed
    before = _placed
    try:
        yield
    finally:
        _placed = before
