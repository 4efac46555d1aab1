"""One frame of a question as SVG: pixels or points, outlines, candidates with names and percentages, a scale bar."""

import base64
from dataclasses import dataclass

import numpy as np

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.results.boxes import Box
from torchtrack_uq.results.report.markup import Markup, element, percent, shortened
from torchtrack_uq.results.report.pixels import FramePieces
from torchtrack_uq.results.round_length import round_length

SIDE = 200.0
"""Length of a panel's side in its own units."""
_CHARACTER, _LINE = 6.6, 14.0
"""About how large text is."""
_MOST_DOTS = 80


@dataclass(frozen=True)
class Field:
    """The square of a frame that a panel shows.

    Attributes:
        top: y at its upper edge.
        left: x at its left edge.
        side: Its length.
        box: The same in whole pixels; None for points.
    """

    top: float
    left: float
    side: float
    box: Box | None = None

    @classmethod
    def of(cls, box: Box) -> "Field":
        """A piece of pixels: its edges are half a pixel from the centres of the outermost ones."""
        return cls(box.top - 0.5, box.left - 0.5, float(box.size), box)

    def place(self, y: float, x: float) -> tuple[float, float]:
        """(x, y) in the panel."""
        return SIDE * (x - self.left) / self.side, SIDE * (y - self.top) / self.side


@dataclass(frozen=True)
class Mark:
    """A cell that is marked.

    Attributes:
        cell: Index.
        text: Beside her.
        role: "cell" (asked about), "chosen", "other" (candidates) or "beside" (of the same group).
    """

    cell: int
    text: str
    role: str


def panel(
    detections: Detections,
    t: int,
    field: Field,
    marks: list[Mark],
    pieces: FramePieces | None,
    here: tuple[float, float] | None = None,
) -> Markup:
    """A frame with its marks.

    Args:
        detections: The movie's cells.
        t: Frame.
        field: What of it.
        marks: Cells of the frame, the most important first.
        pieces: Pixels; None for points.
        here: (y, x) where the daughter is in her frame, drawn as a cross.
    """
    parts: list[Markup] = [element("rect", {"width": SIDE, "height": SIDE, "class": "backdrop"})]
    if pieces is not None and field.box is not None:
        data = base64.b64encode(pieces.picture(t, field.box)).decode()
        href = f"data:image/jpeg;base64,{data}"
        parts.append(
            element("image", {"width": SIDE, "height": SIDE, "preserveAspectRatio": "none", "href": href})
        )
    else:
        parts += _dots(detections, t, field)
    anchors = [] if here is None else [field.place(*here)]
    for mark in marks:
        y, x = detections.coords[mark.cell, -2:].tolist()
        at = field.place(y, x)
        anchors.append(at)
        lines = (
            [] if pieces is None or field.box is None else _outline(detections, t, field.box, mark, pieces)
        )
        if not lines:  # points, and cells of another plane
            lines = [element("circle", {"cx": at[0], "cy": at[1], "r": 7.0, "class": f"ring {mark.role}"})]
        parts += lines
    if here is not None:
        x, y = field.place(*here)
        parts.append(element("path", {"d": f"M{x - 5:.1f} {y:.1f}h10m-5 -5v10", "class": "here"}))
    texts = [*([] if here is None else [""]), *(mark.text for mark in marks)]
    places = place_texts(anchors, [len(text) for text in texts])[len(texts) - len(marks) :]
    for mark, (x, y) in zip(marks, places, strict=True):
        parts.append(element("text", {"x": x, "y": y, "class": mark.role}, mark.text))
    parts += _scale_bar(detections, field)
    said = ", ".join(mark.text for mark in marks) or "nothing marked"
    attributes: dict[str, object] = {
        "viewBox": f"0 0 {SIDE:g} {SIDE:g}",
        "class": "panel",
        "role": "img",
        "aria-label": f"frame {detections.naming.first_frame + t * detections.naming.frame_step}: {said}",
    }
    return element("svg", attributes, *parts)


def place_texts(
    anchors: list[tuple[float, float]], lengths: list[int], side: float = SIDE
) -> list[tuple[float, float]]:
    """Where texts start so that none covers another or a mark, the first one with the first choice of place.

    Args:
        anchors: (x, y) of each mark.
        lengths: Characters of each text.
        side: Of the square that they have to stay in.

    Returns:
        (x, y) of each text's lower left corner.

    >>> place_texts([(100.0, 100.0), (100.0, 104.0)], [4, 4])
    [(108.0, 92.0), (108.0, 120.0)]
    """
    marks = [(x - 4, y - 4, x + 4, y + 4) for x, y in anchors]
    taken: list[tuple[float, float, float, float]] = []
    places = []
    for (x, y), n in zip(anchors, lengths, strict=True):
        width = n * _CHARACTER
        best: tuple[float, float, float] | None = None
        for far in range(0, 64, 8):
            for left, up in ((False, True), (False, False), (True, True), (True, False)):
                a = x - 8 - width if left else x + 8
                b = y - 8 - far if up else y + 16 + far
                box = (a, b - _LINE + 3, a + width, b + 3)
                inside = (max(box[0], 0), max(box[1], 0), min(box[2], side), min(box[3], side))
                cost = width * _LINE - _area(inside) + 0.5 * far
                cost += sum(_shared(box, other) for other in taken) + 0.5 * sum(
                    _shared(box, other) for other in marks
                )
                if best is None or cost < best[0] - 1e-9:
                    best = cost, a, b
        assert best is not None
        a, b = max(min(best[1], side - width - 2), 2.0), max(min(best[2], side - 4), _LINE)
        taken.append((a, b - _LINE + 3, a + width, b + 3))
        places.append((a, b))
    return places


def name_of(detections: Detections, cell: int) -> str:
    """What the user calls a cell, shortened."""
    return shortened(detections.name[cell], 18)


def text_of(detections: Detections, cell: int, probability: float) -> str:
    """Name and percentage beside a candidate."""
    return f"{name_of(detections, cell)} · {percent(probability)}"


def _outline(detections: Detections, t: int, box: Box, mark: Mark, pieces: FramePieces) -> list[Markup]:
    found = []
    for line in pieces.outline(t, box, int(detections.label[mark.cell])):
        points = " ".join(f"{x:.1f} {y:.1f}" for x, y in (SIDE * line).tolist())
        found.append(element("path", {"d": f"M{points}Z", "class": f"outline {mark.role}"}))
    return found


def _dots(detections: Detections, t: int, field: Field) -> list[Markup]:
    points = detections.coords[detections.in_frame(t), -2:].astype(np.float64)
    middle = np.array([field.top, field.left]) + field.side / 2
    far = np.abs(points - middle).max(axis=1)
    near = np.argsort(far, kind="stable")[:_MOST_DOTS]
    found = []
    for y, x in points[near[far[near] <= field.side / 2]].tolist():
        at = field.place(y, x)
        found.append(element("circle", {"cx": at[0], "cy": at[1], "r": 3, "class": "dot"}))
    return found


def _scale_bar(detections: Detections, field: Field) -> list[Markup]:
    if detections.voxel_size is None:
        return []
    pixel = float(detections.voxel_size[-1])
    micrometres = round_length(field.side * pixel / 3)
    length = SIDE * micrometres / pixel / field.side
    line = f"M{SIDE - 8 - length:.1f} {SIDE - 8:.1f}h{length:.1f}"
    return [
        element("path", {"d": line, "class": "bar back"}),
        element("path", {"d": line, "class": "bar"}),
        element(
            "text",
            {"x": SIDE - 8 - length / 2, "y": SIDE - 14, "class": "scale", "text-anchor": "middle"},
            f"{micrometres:g} µm",
        ),
    ]


def _area(box: tuple[float, float, float, float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _shared(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    return _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
