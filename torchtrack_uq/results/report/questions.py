"""The first of the review queue, as questions that a page can ask."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from torchtrack_uq.guarantees.acceptance import ReviewStatistic
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.in_words import TrackedCells

FIRST = 200
"""Cells that are asked about; the last group is whole or left out."""
MOST_CANDIDATES = 5
_LIKELY = 0.005
"""Mothers below this probability are not offered, unless they were chosen."""


class Reported(TrackedCells, Protocol):
    """What a report is of: a `TrackingResult`."""

    @property
    def movie(self) -> Movie | None:
        """Images and masks; None for points."""
        ...

    @property
    def annotated(self) -> ReviewStatistic | None:
        """Right and wrong decisions where truth is known."""
        ...


@dataclass(frozen=True)
class Candidate:
    """Who may be the mother.

    Attributes:
        cell: Index of the mother.
        probability: Of the link.
        chosen: Whether the tracker chose her.
    """

    cell: int
    probability: float
    chosen: bool


@dataclass(frozen=True)
class Question:
    """A doubtful cell and all that is needed to decide about her.

    Attributes:
        cell: Her index.
        rank: Of her group in the queue, from 1.
        group: Indices of all cells of the group.
        expected_errors: Decisions of the group that are expected to be wrong.
        reason: What is likeliest to be wrong.
        candidates: Mothers, the likeliest first.
        none: Probability that she has none.
        false: Probability that she is no cell; None where it is not known.
    """

    cell: int
    rank: int
    group: tuple[int, ...]
    expected_errors: float
    reason: str
    candidates: tuple[Candidate, ...]
    none: float
    false: float | None

    @property
    def none_chosen(self) -> bool:
        """Whether the tracker chose no mother."""
        return not any(one.chosen for one in self.candidates)


def first_questions(result: Reported, queue: pd.DataFrame, most: int = FIRST) -> list[Question]:
    """Questions about the first cells of a queue, in its order, whole groups only.

    Args:
        result: A `TrackingResult`.
        queue: Its `review_queue`.
        most: At most so many.
    """
    head = queue.iloc[:most]
    if len(queue) > most and len(head) and queue["rank"].iloc[most] == head["rank"].iloc[-1]:
        whole = head[head["rank"] != head["rank"].iloc[-1]]
        head = whole if len(whole) else head
    cells = result.detections.find(head["frame"].to_numpy(), head["label"].to_numpy()).tolist()
    groups: dict[int, list[int]] = {}
    for rank, cell in zip(head["rank"].tolist(), cells, strict=True):
        groups.setdefault(rank, []).append(cell)
    null = result.probabilities.null.double().numpy()
    false, known = result.doubts.part["false"], ~np.isnan(result.doubts.part["false"])
    rows: list[dict[Any, Any]] = head.to_dict("records")
    return [
        Question(
            cell=cell,
            rank=int(row["rank"]),
            group=tuple(groups[row["rank"]]),
            expected_errors=float(row["expected_errors"]),
            reason=str(row["reason"]),
            candidates=candidates_of(result, cell),
            none=float(null[cell]),
            false=float(false[cell]) if known[cell] else None,
        )
        for cell, row in zip(cells, rows, strict=True)
    ]


def candidates_of(result: Reported, cell: int) -> tuple[Candidate, ...]:
    """The likeliest mothers of a cell, at most `MOST_CANDIDATES`, the chosen one always among them."""
    graph = result.candidates
    begin, end = np.searchsorted(graph.daughter.numpy(), [cell, cell + 1]).tolist()
    p = result.probabilities.log_link[begin:end].exp().double().numpy()
    mothers, chosen = graph.mother[begin:end].numpy(), int(result.mother[cell])
    order = sorted(range(end - begin), key=lambda k: (mothers[k] != chosen, -p[k]))
    kept = [k for k in order if p[k] >= _LIKELY or mothers[k] == chosen][:MOST_CANDIDATES]
    return tuple(
        Candidate(int(mothers[k]), float(p[k]), bool(mothers[k] == chosen))
        for k in sorted(kept, key=lambda k: -p[k])
    )
