"""Which rows of the queue a person wants to see: of a reason, of some frames, of a track."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.results.tracking_result import TrackingResult


@dataclass(frozen=True)
class QueueFilter:
    """What is shown of a queue; by default all of it.

    Attributes:
        reason: One of `REASONS`, empty for all.
        first: Number of the first frame, None for the movie's.
        last: Number of the last frame, which is shown too.
        track: Track as `cells.csv` of the result numbers it; decisions that join or cut tracks change no number.

    >>> QueueFilter.of({"first": "3", "reason": "false", "n": "20"})
    QueueFilter(reason='false', first=3, last=None, track=None)
    """

    reason: str = ""
    first: int | None = None
    last: int | None = None
    track: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "QueueFilter":
        """From the fields of a form: texts, where nothing or an empty one is no wish.

        Raises:
            ValueError: Frames or tracks that are no whole numbers.
        """
        numbers = {name: int(asked[name]) for name in ("first", "last", "track") if asked.get(name)}
        return cls(asked.get("reason", ""), **numbers)

    def rows(self, queue: pd.DataFrame, start: TrackingResult) -> pd.DataFrame:
        """The rows that were asked for, in their order.

        Args:
            queue: As `review_queue` makes it.
            start: The result as tracked, whose tracks are meant.
        """
        if self.reason:
            queue = queue[queue["reason"] == self.reason]
        if self.first is not None:
            queue = queue[queue["frame"] >= self.first]
        if self.last is not None:
            queue = queue[queue["frame"] <= self.last]
        if self.track is not None:
            queue = queue[tracks_of_rows(queue, start) == self.track]
        return queue


def tracks_of_rows(queue: pd.DataFrame, start: TrackingResult) -> NDArray[np.int64]:
    """(R,) track, as `cells.csv` of the result as tracked numbers it, of the cell in each row of a queue."""
    cells = start.detections.find(queue["frame"].to_numpy(np.int64), queue["label"].to_numpy())
    return start.tracklets.track[cells]
