"""The family of a cell: its track, those that it descends from, and those that descend from it, with probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.results.queue import LEAST_DOUBT
from torchtrack_uq.results.tracking_result import TrackingResult

_MOST_DOUBTS = 20
"""Cells of one branch that are marked, the most doubtful ones."""


def family(
    result: TrackingResult, cell: int, *, above: int = 3, below: int = 3, most: int = 40
) -> dict[str, Any]:
    """The lineage tree around a cell, of the links that are chosen now.

    Args:
        result: As it is now.
        cell: Index of the cell.
        above: Generations before its track; a gap in a track counts as one, as in files of the Cell Tracking Challenge.
        below: Generations after it.
        most: Branches; the nearest to the root are kept.

    Returns:
        `branches`, each a track: `number`, `parent` (number, 0 for the root), `begin`, `end` (frames), `first` (frame
        and label of its first cell), `probability` (of that cell's mother, or of none; None in the first frame),
        `expected` (decisions along it that are expected to be wrong), `after_gap`, and `doubts`: frame, label and
        probability of its doubtful cells. `number` of the cell's own branch, `older` and `left_out`: whether the root
        has a mother, and how many branches are not shown.

    Raises:
        InputError: There is no such cell.

    >>> import pandas as pd
    >>> from torchtrack_uq import UncertainTracker
    >>> points = pd.DataFrame({"frame": [0, 1, 2], "y": [0.0, 1.0, 1.0], "x": [0.0, 0.0, 1.0]})
    >>> result = UncertainTracker("distance").track_points(points, progress=False)
    >>> [(one["number"], one["begin"], one["end"]) for one in family(result, 2)["branches"]]
    [(1, 0, 2)]
    """
    if not 0 <= cell < len(result.detections):
        raise InputError(f"cell is {cell}; expected 0 to {len(result.detections) - 1}")
    tracks = result.tracklets
    parent = tracks.table["parent"].to_numpy()
    own = int(tracks.track[cell])
    root, depth = own, 0
    while depth < above and parent[root - 1]:
        root, depth = int(parent[root - 1]), depth + 1
    shown, generation = [root], [root]
    left_out = 0
    for _ in range(depth + below):
        children = (np.flatnonzero(np.isin(parent, generation)) + 1).tolist()
        room = max(most - len(shown), 0)
        children.sort(key=lambda number: number != own)  # the cell's own branch is never left out
        left_out += len(children[room:])
        generation = sorted(children[:room])
        shown += generation
    return {
        "number": own,
        "older": bool(parent[root - 1]),
        "left_out": left_out,
        "branches": _branches(result, np.array(shown, np.int64)),
    }


def _branches(result: TrackingResult, numbers: NDArray[np.int64]) -> list[dict[str, Any]]:
    tracks, cells = result.tracklets, result.detections
    table = tracks.table
    probability = result.decision_probability
    error = 1 - np.nan_to_num(probability, nan=1.0)
    frame, name = cells.frame_number, cells.name
    among = np.flatnonzero(np.isin(tracks.track, numbers))
    track = tracks.track[among]
    begin, end, parent = (table[column].to_numpy() for column in ("begin", "end", "parent"))
    found = []
    for number in numbers.tolist():
        own = among[track == number]
        first, mother = int(own[0]), int(parent[number - 1])
        doubtful = own[error[own] >= LEAST_DOUBT]
        doubtful = np.sort(doubtful[np.argsort(-error[doubtful], kind="stable")][:_MOST_DOUBTS])
        found.append(
            {
                "number": number,
                "parent": mother if mother in numbers else 0,
                "begin": int(frame[first]),
                "end": int(cells.naming.frames(end[number - 1])),
                "first": [int(frame[first]), int(name[first])],
                "probability": None if np.isnan(probability[first]) else float(probability[first]),
                "expected": float(error[own].sum()),
                "after_gap": bool(mother and begin[number - 1] - end[mother - 1] > 1),
                "doubts": [[int(frame[i]), int(name[i]), float(probability[i])] for i in doubtful.tolist()],
            }
        )
    return found
