"""Progress bars: one place that decides how long work reports itself."""

from collections.abc import Iterable, Iterator
from typing import NoReturn, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def with_progress(
    items: Iterable[Item], description: str, *, total: int | None = None, show: bool = True
) -> Iterator[Item]:
    """Iterate over `items` with a progress bar on standard error, or silently if `show` is False.

    >>> list(with_progress([1, 2], "reading", show=False))
    [1, 2]
    """
    return iter(tqdm(items, desc=description, total=total, disable=not show, dynamic_ncols=True))


def byte_progress(
    description: str, total: int | None, *, done: int = 0, show: bool = True
) -> "tqdm[NoReturn]":
    """A progress bar of bytes, to be updated by hand: a context manager with `update(n)`."""
    return tqdm(
        total=total,
        initial=done,
        unit="B",
        unit_scale=True,
        desc=description,
        disable=not show,
        dynamic_ncols=True,
    )
