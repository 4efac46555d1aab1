"""How many outputs this process has put in place: an interruption after the first is not one of nothing."""

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
