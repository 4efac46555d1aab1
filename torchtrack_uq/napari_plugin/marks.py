"""Where a question is, and what is drawn of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.napari_plugin.answers import percent
from torchtrack_uq.results.boxes import box_around

Kind = Literal["asked", "chosen", "candidate"]
_LEAST = 0.02
"""Probability of a candidate that is shown in other frames than its own."""
_RING = 1.25
"""Diameter of a ring, in those of cells."""
_POINT = 10.0
"""Diameter of a cell that is a point, in pixels."""


@dataclass(frozen=True)
class Mark:
    """What is drawn at a cell.

    Attributes:
        frame: In which it is drawn, counted from 0.
        here: Whether the cell is of that frame: a ring around it; else a cross where it was, or will be.
        place: Centroid in pixels, ((z,) y, x).
        kind: The cell that is asked about, its chosen mother, or another candidate.
        text: What stands beside it; empty for the cell that is asked about.
    """

    frame: int
    here: bool
    place: tuple[float, ...]
    kind: Kind
    text: str


@dataclass(frozen=True)
class Spot:
    """What a viewer shows of a question.

    Attributes:
        frame: Of the cell, counted from 0.
        place: Its centroid in pixels, ((z,) y, x).
        size: Edge in pixels of a square that holds the cell and her candidates with room around.
        diameter: Of rings around cells, in pixels.
        marks: To draw.
    """

    frame: int
    place: tuple[float, ...]
    size: float
    diameter: float
    marks: tuple[Mark, ...]


def marks_of(question: Mapping[str, Any], detections: Detections) -> Spot:
    """Where a question is. In the cell's own frame one sees where her mothers were, and in theirs where she will be.

    Other frames than a candidate's own show it only from 2 % on. In a stack all marks stand in the plane of the cell,
    and candidates of other planes in their own as well.

    Args:
        question: As `ReviewSession.question` puts it.
        detections: All cells of the movie, those that were struck out too.

    >>> cells = Detections.from_points(np.array([0, 1]), np.array([[4.0, 4.0], [6.0, 6.0]]))
    >>> question = {"frame": 1, "label": 1, "chosen": [0, 1], "candidates": [
    ...     {"frame": 0, "label": 1, "place": [4.0, 4.0], "probability": 0.9}]}
    >>> for mark in marks_of(question, cells).marks:
    ...     print(mark.frame, mark.here, mark.kind, mark.text)
    0 True chosen 1: 90 %
    0 False asked
    1 False chosen 1: 90 %
    1 True asked
    """
    cell = detections.by_name[question["frame"], question["label"]]
    mothers = [detections.by_name[one["frame"], one["label"]] for one in question["candidates"]]
    named = question.get("chosen")  # a cell that was struck out has none
    chosen = None if named is None else detections.by_name[tuple(named)]
    rings: list[tuple[int, Kind, str]] = [
        (mother, "chosen" if mother == chosen else "candidate", f"{key}: {percent(one['probability'])}")
        for key, (mother, one) in enumerate(zip(mothers, question["candidates"], strict=True), start=1)
    ]
    rings.append((cell, "asked", ""))
    of, where = detections.frame, detections.coords.astype(float)
    likely = [
        one
        for one, said in zip(mothers, question["candidates"], strict=True)
        if said["probability"] >= _LEAST
    ]
    shown = {int(of[cell]): {*likely, cell, chosen}}  # by frame, cells of all frames
    for mother in mothers:
        shown.setdefault(int(of[mother]), {cell}).add(mother)
    marks = [
        Mark(frame, bool(of[one] == frame), place, kind, text)
        for frame in sorted(shown)
        for one, kind, text in rings
        if one in shown[frame]
        for place in _places(where[one].tolist(), where[cell].tolist())
    ]
    size = float(box_around(detections, [cell, *mothers]).size)
    return Spot(
        int(detections.frame[cell]),
        tuple(where[cell].tolist()),
        size,
        _RING * _typical(detections),
        tuple(marks),
    )


def _places(place: list[float], asked: list[float]) -> list[tuple[float, ...]]:
    """Where a mark stands; planes are whole numbers, as viewers show them."""
    if len(place) == 2:
        return [(place[0], place[1])]
    return [(float(plane), *place[1:]) for plane in sorted({round(place[0]), round(asked[0])})]


def _typical(detections: Detections) -> float:
    """A cell's diameter in pixels."""
    diameter = detections.features.get("equivalent_diameter_area")
    return _POINT if diameter is None or not len(diameter) else float(np.median(diameter))
