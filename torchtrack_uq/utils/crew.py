"""Work that is shared out in tasks: done here, by processes of this machine, or on a cluster; the same results."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeVar

Common = TypeVar("Common")
Task = TypeVar("Task")
Result = TypeVar("Result")
SHARES = 4
"""Of work for each worker: if one is slow, the others take what is left."""


class Crew(Protocol):
    """Who does tasks that do not depend on each other."""

    @property
    def n(self) -> int:
        """How many tasks are done at a time."""
        ...

    def map(
        self, work: Callable[[Common, Task], Result], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Result]:
        """`work(common, task)` of every task, in their order, whoever was ready first.

        What a worker that is lost was doing is done by another one. A loop that is left, by an error or Ctrl-C, ends
        what is under way.

        Args:
            work: A function of a module, which writes nothing.
            common: What all tasks need, which goes to each worker once.
            tasks: What differs.

        Raises:
            Exception: What `work` raised, the first in the order of the tasks, as if all was done here.
            OSError: Workers were lost over the same task again and again.
        """
        ...


class Alone:
    """This process does everything.

    >>> list(Alone().map(pow, 2, [1, 3]))
    [2, 8]
    """

    n = 1

    def map(
        self, work: Callable[[Common, Task], Result], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Result]:
        """See `Crew`."""
        return (work(common, task) for task in tasks)


@dataclass(frozen=True)
class Answer:
    """What came of a task elsewhere.

    Attributes:
        result: What the work returned, if nothing was raised.
        error: What it raised.
        where: The traceback, as text.
        said: Warnings, with their category.
    """

    result: Any = None
    error: Exception | None = None
    where: str = ""
    said: tuple[tuple[str, type[Warning]], ...] = ()

    def open(self) -> Any:
        """The result; warnings and errors as if they had arisen here."""
        for sentence, category in self.said:
            warnings.warn(sentence, category, stacklevel=2)
        if self.error is not None:
            self.error.add_note(f"In a worker:\n{self.where}")
            raise self.error
        return self.result


def spans(n: int, n_spans: int, least: int = 1) -> list[range]:
    """The numbers from 0 to n - 1 in spans of about the same length.

    Args:
        n: How many numbers.
        n_spans: How many spans, if there are enough numbers.
        least: Length below which no span is cut further.

    >>> spans(5, 2)
    [range(0, 3), range(3, 5)]
    >>> spans(5, 4, least=3)
    [range(0, 5)]
    """
    pieces = max(min(n_spans, n // max(least, 1)), 1)
    ends = [-(-n * k // pieces) for k in range(pieces + 1)]
    return [range(a, b) for a, b in pairwise(ends) if a < b]
