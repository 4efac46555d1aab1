"""Where in the field and when in the movie the doubts are, in as few dots and bars as an eye can tell apart."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.results.tracking_result import TrackingResult

MOST_SPOTS = 400
MOST_BARS = 120


def doubt_map(
    result: TrackingResult, queue: pd.DataFrame, *, most_spots: int = MOST_SPOTS, most_bars: int = MOST_BARS
) -> dict[str, Any]:
    """A map of doubtful cells over the field, and of wrong decisions over time.

    Args:
        result: As it is now.
        queue: Rows of its queue that the map shows, the most useful look first.
        most_spots: Where there are more rows, those of one square of the field are one spot.
        most_bars: Where there are more frames, some in a row are one bar.

    Returns:
        `field` with `left`, `top`, `right`, `bottom` in pixels (what all cells span, where nobody knows the field).
        `spots`, each with `x`, `y` (mean of its cells), `n` of them, `expected` (how many of their decisions are
        expected to be wrong), `doubt` (of the most doubtful), and `frame`, `label` and `reason` of the cell that stands
        first in the queue. `bars`, each with the numbers of its `first` and `last` frame and the wrong decisions
        `expected` in a frame, of all cells whether they are in the queue or not.

    >>> from torchtrack_uq import UncertainTracker
    >>> from torchtrack_uq.results.queue import review_queue
    >>> points = pd.DataFrame({"frame": [0, 0, 1, 1], "y": [0, 5, 0, 5], "x": [0.0, 5.0, 4.0, 1.0]})
    >>> result = UncertainTracker("distance").track_points(points, progress=False)
    >>> found = doubt_map(result, review_queue(result))
    >>> len(found["bars"]), found["field"]["bottom"]
    (2, 5.0)
    """
    return {
        "field": _field(result.detections),
        "spots": _spots(queue, most_spots),
        "bars": _bars(result.detections, result.doubts.error, most_bars),
        "n": len(queue),
    }


def _field(detections: Detections) -> dict[str, float]:
    if detections.field_shape is not None:
        height, width = detections.field_shape[-2:]
        return {"left": -0.5, "top": -0.5, "right": width - 0.5, "bottom": height - 0.5}
    place = detections.coords[:, -2:].astype(np.float64)
    (top, left), (bottom, right) = place.min(axis=0).tolist(), place.max(axis=0).tolist()
    return {"left": left, "top": top, "right": right, "bottom": bottom}


def _spots(queue: pd.DataFrame, most: int) -> list[dict[str, Any]]:
    if not len(queue):
        return []
    place = queue[["y", "x"]].to_numpy(np.float64)
    group = _squares(place, most) if len(queue) > most else np.arange(len(queue))
    # rows stand in the order of the queue, so that the first row of a square is the look to take first
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    n = np.bincount(group)
    expected = np.bincount(group, weights=1 - queue["probability"].fillna(1.0).to_numpy(np.float64))
    doubt = np.zeros(len(n))
    np.maximum.at(doubt, group, queue["doubt"].to_numpy(np.float64))
    y, x = (np.bincount(group, weights=values) / n for values in place.T)
    spots = pd.DataFrame(
        {
            "x": x.round(2),
            "y": y.round(2),
            "n": n,
            "expected": expected.round(4),
            "doubt": doubt.round(4),
            "frame": queue["frame"].to_numpy()[first],
            "label": queue["label"].to_numpy()[first],
            "reason": queue["reason"].to_numpy()[first],
        }
    )
    return [{str(name): value for name, value in spot.items()} for spot in spots.to_dict("records")]


def _squares(place: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """(R,) number of the square of the field in which each row lies, of at most `most` squares."""
    low = place.min(axis=0)
    extent = np.maximum(place.max(axis=0) - low, 1e-12)
    edge = max(np.sqrt(extent.prod() / most), extent.max() / most)
    n_squares = np.maximum(np.floor(extent / edge), 1).astype(np.int64)
    at = np.minimum(((place - low) / extent * n_squares).astype(np.int64), n_squares - 1)
    return np.asarray(at[:, 0] * n_squares[1] + at[:, 1], np.int64)


def _bars(detections: Detections, error: NDArray[np.float64], most: int) -> list[dict[str, Any]]:
    n_frames = detections.n_frames
    a_frame = np.bincount(detections.frame, weights=error, minlength=n_frames)
    begin = np.arange(0, n_frames, -(-n_frames // most))
    end = np.append(begin[1:], n_frames)
    expected = np.add.reduceat(a_frame, begin) / (end - begin)
    first, last = detections.naming.frames(begin), detections.naming.frames(end - 1)
    return [
        {"first": a, "last": b, "expected": round(e, 4)}
        for a, b, e in zip(first.tolist(), last.tolist(), expected.tolist(), strict=True)
    ]
