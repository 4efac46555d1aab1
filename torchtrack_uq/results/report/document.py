"""The whole report as one HTML document."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePath
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from torchtrack_uq.movies.in_one_line import describe_movie, scale_in_words
from torchtrack_uq.results.in_words import summary
from torchtrack_uq.results.report.asked import asked
from torchtrack_uq.results.report.doubt_chart import chart_over_time
from torchtrack_uq.results.report.markup import Markup, element, joined, shortened
from torchtrack_uq.results.report.questions import Question, Reported, first_questions
from torchtrack_uq.results.report.reliability import reliability_bins, reliability_chart, reliability_table


def report_html(result: Reported, queue: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """`report.html` of a result: what it holds needs no other file and asks nobody.

    Args:
        result: A `TrackingResult`.
        queue: Its `review_queue`.
        settings: What `settings.json` says of it (`settings_of`).
    """
    questions = first_questions(result, queue)
    style, script = _file("report.css"), _file("report.js")
    return Template(_file("report.html")).substitute(
        policy=(
            f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        title=joined(f"How sure are these tracks? {_name(settings)}"),
        style=style,
        script=script,
        key=settings["input"]["cells_sha256"][:16],
        movie=joined(_movie(result)),
        summary=joined(*(element("li", None, *_with_code(line)) for line in summary(result).splitlines())),
        meaning=_meaning(result, questions, settings),
        settings=_settings(settings),
        doubt=_doubt(result),
        reliability=_reliability(result, settings),
        queue=_queue(result, questions, len(queue)),
    )


def _file(name: str) -> str:
    return (files("torchtrack_uq.results.report") / "page" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _with_code(line: str) -> list[str | Markup]:
    """A line in which what stands between backticks is code."""
    return [element("code", None, part) if k % 2 else part for k, part in enumerate(line.split("`"))]


def _name(settings: Mapping[str, Any]) -> str:
    path = (settings["input"]["masks"] or {}).get("path")
    return "" if path is None else shortened(PurePath(path).name, 60)


def _movie(result: Reported) -> str:
    if result.movie is not None:
        return describe_movie(result.movie)
    cells = result.detections
    first, last = cells.naming.first_frame, cells.naming.last(cells.n_frames)
    said = [f"{len(cells)} points in {cells.n_frames} frames ({first} to {last})"]
    return ", ".join([*said, *scale_in_words(cells.voxel_size, cells.interval)])


def _meaning(result: Reported, questions: list[Question], settings: Mapping[str, Any]) -> Markup:
    wrong = float(result.doubts.error.sum())
    by_group = {one.rank: one.expected_errors for one in questions}
    said = [
        "A percentage is the probability that an answer is the true one, given how well each pair of cells fits "
        "and that a mother has at most two daughters. If these percentages are honest, "
        f"{wrong:.1f} of the {int((result.detections.frame > 0).sum())} decisions are wrong, and answering the "
        f"{len(questions)} questions below puts {sum(by_group.values()):.1f} of them right."
    ]
    if (done := settings.get("corrections")) is not None:
        said.append(
            f"A person decided about {done['daughters']} cell(s) and struck out {done['bad']} detection(s); all that "
            f"is said here is given that."
        )
    return joined(*(element("p", None, one) for one in said))


def _settings(settings: Mapping[str, Any]) -> Markup:
    tracker, method = settings.get("tracker"), settings.get("method")
    prior, calibration = settings.get("prior"), settings.get("calibration")
    events = settings.get("events")
    rows = {
        "tracker": tracker.get("name") if isinstance(tracker, Mapping) else tracker,
        "method": method.get("name") if isinstance(method, Mapping) else method,
        "temperature": f"{settings['temperature']:.3g}" if settings.get("temperature") is not None else None,
        "event scores": ", ".join(f"{name} {value:.2f}" for name, value in events.items())
        if events
        else None,
        "links span": f"up to {settings['max_gap']} frame(s)" if settings.get("max_gap") else None,
        "from other movies": f"{prior['name']} {prior['version']}" if prior else None,
        "calibrated on": ", ".join(calibration["movies"]) if calibration else None,
        "made with": f"{settings['package']['name']} {settings['package']['version']}",
    }
    return joined(
        *(
            joined(element("dt", None, name), element("dd", None, shortened(value, 300)))
            for name, value in rows.items()
            if value
        )
    )


def _doubt(result: Reported) -> Markup:
    cells = result.detections
    numbers = cells.naming.frames(np.arange(cells.n_frames))
    wrong = np.bincount(cells.frame, weights=result.doubts.error, minlength=cells.n_frames).astype(np.float64)
    count = np.bincount(cells.frame, minlength=cells.n_frames).astype(np.float64)
    return joined(
        chart_over_time(wrong, numbers, "expected wrong decisions a frame", filled=True),
        chart_over_time(count, numbers, "cells a frame", filled=False),
    )


def _reliability(result: Reported, settings: Mapping[str, Any]) -> Markup:
    if result.annotated is None or not len(result.annotated):
        return element(
            "p",
            None,
            *_with_code(
                "No decision of this tracker has been compared with the truth here: have some cells drawn at random to "
                "annotate (`torchtrack-uq sample OUT --random 1`), fit to them (`fit --decisions`) and track with the "
                "file that comes out (`--temperature FILE`)."
            ),
        )
    bins = reliability_bins(result.annotated)
    movies = (settings.get("calibration") or {}).get("movies") or []
    of = f" of {shortened(', '.join(movies), 300)}" if movies else ""
    n, wrong = len(result.annotated), int(result.annotated.wrong.sum())
    said = (
        f"{n} annotated decisions{of}, {wrong} of them wrong: the decisions that temperature and event scores were "
        "fitted to, as probable as the fit made them. It holds for this movie as far as this movie is like those."
    )
    return joined(element("p", None, said), reliability_chart(bins), reliability_table(bins))


def _queue(result: Reported, questions: list[Question], n_listed: int) -> Markup:
    if not questions:
        return element("p", None, "No cell is doubtful enough to be asked about.")
    left = n_listed - len(questions)
    more = f" {left} more cells are in review.csv and on the page of torchtrack-uq review." if left else ""
    said = (
        f"{len(questions)} cells, in the order of the wrong decisions that a look is expected to remove.{more} The "
        "cell in question has a white outline, the mother that was chosen a thick one, other candidates dashed ones; a "
        "ring is a cell of another plane, or a point."
    )
    return joined(element("p", None, said), *asked(result, questions))
