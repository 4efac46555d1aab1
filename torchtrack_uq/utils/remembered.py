"""Answers that are kept with what they are about."""

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Subject = TypeVar("Subject")
Answer = TypeVar("Answer")
Options = ParamSpec("Options")


def remembered(
    function: Callable[Concatenate[Subject, Options], Answer],
) -> Callable[Concatenate[Subject, Options], Answer]:
    """A function of an object that never changes, whose answers are kept as long as the object is.

    As `functools.cached_property` for functions that stand in another room than their subject's class.

    Args:
        function: Its first argument has a `__dict__`, the others are positional and hashable. Callers do not change
            what it returns.

    >>> class Movie:
    ...     n_frames = 3
    >>> @remembered
    ... def frames(movie):
    ...     print("counting")
    ...     return list(range(movie.n_frames))
    >>> movie = Movie()
    >>> frames(movie), frames(movie)
    counting
    ([0, 1, 2], [0, 1, 2])
    """
    key = f"remembered {function.__module__}.{function.__qualname__}"

    @wraps(function)
    def answer(subject: Subject, /, *options: Options.args, **named: Options.kwargs) -> Answer:
        kept: dict[Hashable, Answer] = vars(subject).setdefault(key, {})
        asked = (options, tuple(sorted(named.items())))
        if asked not in kept:
            kept[asked] = function(subject, *options, **named)
        return kept[asked]

    return answer
