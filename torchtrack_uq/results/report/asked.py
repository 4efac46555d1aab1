"""A question as the page shows it: both frames, then the answers to choose from."""

from dataclasses import replace

from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.results.boxes import box_around, spacing
from torchtrack_uq.results.report.frame_panel import Field, Mark, name_of, panel, text_of
from torchtrack_uq.results.report.markup import Markup, element, joined, percent
from torchtrack_uq.results.report.pixels import FramePieces
from torchtrack_uq.results.report.questions import Question, Reported

_MOST_MOTHER_FRAMES = 2
_NEAR = 0.05
"""Frames and pieces that are shown hold mothers of at least this probability, and the chosen one."""
Article = Markup


def asked(result: Reported, questions: list[Question]) -> list[Article]:
    """An article for each question, in their order; frames are read once each, in the movie's order.

    Args:
        result: A `TrackingResult`.
        questions: As `first_questions` finds them.
    """
    movie = result.movie
    pieces = None if movie is None else FramePieces(movie, kept=result.candidates.max_gap + 1)
    apart = spacing(result.detections) if movie is None else 0.0
    in_order = sorted(range(len(questions)), key=lambda k: questions[k].cell)
    found: dict[int, Article] = {}
    for k in in_order:
        question = questions[k]
        field = _field(result, question, apart)
        found[k] = _article(result.detections, question, _panels(result, question, field, pieces), k)
    return [found[k] for k in range(len(questions))]


def _field(result: Reported, question: Question, apart: float) -> Field:
    near = [one.cell for one in question.candidates if one.chosen or one.probability >= _NEAR]
    cells = [question.cell, *near]
    if result.movie is not None:
        return Field.of(box_around(result.detections, cells))
    place = result.detections.coords[cells, -2:]
    low, high = place.min(axis=0), place.max(axis=0)
    side = max(2.2 * float((high - low).max()), 2.5 * apart) or 1.0
    top, left = (low + high) / 2 - side / 2
    return Field(float(top), float(left), side)


def _panels(result: Reported, question: Question, field: Field, pieces: FramePieces | None) -> list[Markup]:
    detections = result.detections
    t = int(detections.frame[question.cell])
    y, x = detections.coords[question.cell, -2:].tolist()
    by_frame: dict[int, list[Mark]] = {}
    for one in sorted(question.candidates, key=lambda one: (not one.chosen, -one.probability)):
        mark = Mark(
            one.cell, text_of(detections, one.cell, one.probability), "chosen" if one.chosen else "other"
        )
        by_frame.setdefault(int(detections.frame[one.cell]), []).append(mark)
    near = [one for one in question.candidates if one.chosen or one.probability >= _NEAR]
    shown = {t - 1: None} | {int(detections.frame[one.cell]): None for one in near}
    earlier = sorted(list(shown)[:_MOST_MOTHER_FRAMES])
    own = [Mark(question.cell, name_of(detections, question.cell), "cell")]
    own += [
        Mark(cell, name_of(detections, cell), "beside") for cell in question.group if cell != question.cell
    ]
    found = []
    for frame in [*earlier, t]:
        marks = own if frame == t else by_frame.get(frame, [])
        here = None if frame == t else (y, x)
        square = _in_plane(detections, field, marks)
        caption = f"frame {_number(detections, frame)}" + (
            ": the cell" if frame == t else ": mothers, + the cell"
        )
        drawn = panel(detections, frame, square, marks, pieces, here)
        found.append(element("figure", None, drawn, element("figcaption", None, caption)))
    return found


def _in_plane(detections: Detections, field: Field, marks: list[Mark]) -> Field:
    """The plane of the first marked cell, of a stack."""
    if field.box is None or detections.ndim == 2 or not marks:
        return field
    plane = round(float(detections.coords[marks[0].cell, 0]))
    return replace(field, box=replace(field.box, plane=plane))


def _article(detections: Detections, question: Question, panels: list[Markup], number: int) -> Article:
    frame, name = (
        _number(detections, int(detections.frame[question.cell])),
        name_of(detections, question.cell),
    )
    why = f": {question.reason}?" if question.reason else ""
    others = len(question.group) - 1
    beside = "" if not others else f", one of {others + 1} cells that are one question"
    return element(
        "article",
        None,
        element("h3", None, f"{question.rank}. Cell {name} in frame {frame}{why}"),
        element(
            "p",
            {"class": "note"},
            f"{question.expected_errors:.2f} wrong decisions expected{beside}.",
        ),
        element("div", {"class": "panels"}, *panels),
        _answers(detections, question, frame, name, number),
    )


def _answers(detections: Detections, question: Question, frame: int, name: str, number: int) -> Markup:
    rows = []
    for one in question.candidates:
        of = _number(detections, int(detections.frame[one.cell]))
        said = f"cell {name_of(detections, one.cell)} of frame {of}"
        given: dict[str, object] = {"data-mother-frame": of, "data-mother": str(detections.name[one.cell])}
        rows.append(_answer(number, "mother", said, percent(one.probability), one.chosen, given))
    rows.append(_answer(number, "none", "no mother", percent(question.none), question.none_chosen, {}))
    false = "" if question.false is None else percent(question.false)
    rows.append(_answer(number, "bad", "this is no cell", false, False, {}))
    return element(
        "fieldset",
        {"data-frame": frame, "data-label": str(detections.name[question.cell])},
        element("legend", None, f"Who is the mother of cell {name}?"),
        *rows,
        element("button", {"type": "button", "class": "clear", "hidden": True}, "clear"),
    )


def _answer(
    number: int, verdict: str, said: str, probability: str, chosen: bool, given: dict[str, object]
) -> Markup:
    attributes = {
        "type": "radio",
        "name": f"q{number}",
        "autocomplete": "off",
        "data-verdict": verdict,
        **given,
    }
    return element(
        "label",
        None,
        element("input", attributes),
        joined(
            element("span", {"class": "who"}, said),
            element("b", None, probability),
            element("span", {"class": "note"}, "the tracker's choice") if chosen else None,
        ),
    )


def _number(detections: Detections, t: int) -> int:
    return detections.naming.first_frame + t * detections.naming.frame_step
