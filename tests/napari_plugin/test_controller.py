"""Keys and clicks do what they do on the page; what is refused is said and changes nothing."""

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from torchtrack_uq import Detections
from torchtrack_uq.calibration.annotations import read_decisions
from torchtrack_uq.napari_plugin import Mark, ReviewController, marks_of
from torchtrack_uq.napari_plugin.controller import KEYS
from torchtrack_uq.review.decision_log import Decision, DecisionLog

ONLY_ON_THE_PAGE = {"O"}  # outlines are a layer in napari


def asked(review: ReviewController) -> tuple[int, int]:
    assert review.question is not None
    return review.question["frame"], review.question["label"]


def standing(folder: Path) -> dict[tuple[int, int], Decision]:
    return DecisionLog(folder / "decisions.csv").standing()


def test_the_keys_are_those_of_the_page() -> None:
    page = (files("torchtrack_uq.review") / "page" / "page.html").read_text()
    assert set(re.findall(r"<kbd>(.*?)</kbd>", page)) - ONLY_ON_THE_PAGE <= set(KEYS)


def test_every_answer_is_written_at_once_and_the_next_question_asked(
    review: ReviewController, folder: Path
) -> None:
    for key, verdict in (("Enter", None), ("1", "mother"), ("0", "none"), ("B", "bad")):
        cell, answers = asked(review), {one.key: one.decision for one in review.answers}
        expected = answers[key] if verdict else next(one.decision for one in review.answers if one.chosen)
        assert review.press(key)
        assert standing(folder)[cell] == expected
        assert verdict in (None, expected.verdict)
        assert asked(review) != cell
        assert not review.message


def test_the_answers_are_the_candidates_with_what_they_have_of_the_probability(
    review: ReviewController,
) -> None:
    question = review.question
    assert question is not None
    mothers = [one.decision for one in review.answers if one.decision.verdict == "mother"]
    assert [(one.mother_frame, one.mother) for one in mothers] == [
        (one["frame"], one["label"]) for one in question["candidates"]
    ]
    (chosen,) = (one.decision for one in review.answers if one.chosen)
    given = None if chosen.verdict == "none" else [chosen.mother_frame, chosen.mother]
    assert given == question["chosen"]


def test_undo_asks_again_and_redo_decides_again(review: ReviewController, folder: Path) -> None:
    first = asked(review)
    review.press("0")
    review.press("U")
    assert asked(review) == first
    assert not standing(folder)
    assert not any(one.decided for one in review.answers)
    review.press("R")
    assert standing(folder) == {first: Decision(*first, "none")}
    for key, message in (("R", "nothing to redo"), ("U", ""), ("U", "nothing to undo")):
        review.press(key)
        assert message in review.message
        assert bool(review.message) == bool(message)


def test_undo_of_a_cell_that_is_filtered_out_asks_about_it(review: ReviewController) -> None:
    reasons = review.reasons
    assert len(reasons) > 1
    review.filter(reasons[0])
    first = asked(review)
    review.press("0")
    review.filter(reasons[1])
    review.press("U")
    assert asked(review) == first
    assert review.at == -1
    review.press("J")
    assert review.at == 0


def test_steps_stay_in_the_list_and_a_skipped_cell_comes_last(review: ReviewController) -> None:
    first = asked(review)
    review.press("K")
    assert asked(review) == first
    review.press("J")
    assert asked(review) == (review.rows[1].frame, review.rows[1].label)
    review.go(10_000)
    assert review.at == len(review.rows) - 1
    review.go(0)
    review.press("S")
    assert (review.rows[-1].frame, review.rows[-1].label) == first
    assert asked(review) == (review.rows[0].frame, review.rows[0].label)


def test_a_filter_shows_cells_of_one_reason(review: ReviewController) -> None:
    queue = review.session.queue
    for reason in review.reasons:
        review.filter(reason)
        assert review.n_rows == (queue["reason"] == reason).sum() > 0
        assert review.why == f"Doubtful because: {reason}."
    review.filter("")
    assert review.n_rows == len(queue)


def test_a_click_on_an_earlier_cell_makes_it_the_mother(review: ReviewController, folder: Path) -> None:
    start, (frame, label) = review.session.start, asked(review)
    cell = start.detections.in_frame(frame - 1).start
    t, track = int(start.detections.frame[cell]), int(start.tracklets.path[cell])
    assert review.cell_of_track(t, track) == cell
    review.choose(cell)
    mother = int(start.detections.label[cell])
    assert standing(folder) == {(frame, label): Decision(frame, label, "mother", frame - 1, mother)}


def test_background_and_unknown_tracks_are_no_cell(review: ReviewController) -> None:
    cells = review.session.start.detections
    assert [
        review.cell_of_track(t, track) for t, track in ((0, 0), (0, 10**6), (-1, 1), (cells.n_frames, 1))
    ] == [None] * 4


def test_what_is_refused_is_said_and_changes_nothing(review: ReviewController, folder: Path) -> None:
    cells, (frame, label) = review.session.start.detections, asked(review)
    question = review.question
    review.choose(cells.in_frame(frame).start)
    assert "is of a frame before" in review.message
    mother = int(cells.label[0])
    for daughter in cells.label[cells.in_frame(1)][:3].tolist():
        review.decide(Decision(1, daughter, "mother", 0, mother))
    assert "more than two daughters" in review.message
    assert len(standing(folder)) == 2
    review.press("U")
    assert not review.message
    review.decide(Decision(frame, label, "mother", frame, label))
    assert review.message
    assert question is not review.question
    assert len(standing(folder)) == 1


def test_when_nothing_is_left_keys_say_so(review: ReviewController) -> None:
    for _ in range(500):
        if review.question is None:
            break
        review.press("Enter")
    assert review.question is None
    assert review.spot is None
    assert review.title == "Nothing is left here"
    review.press("Enter")
    assert "nothing to accept" in review.message
    review.choose(0)
    assert "nothing is asked" in review.message
    assert not review.press("1")
    review.press("S")
    review.press("U")
    assert review.question is not None


def test_a_random_look_is_drawn_and_makes_the_promise_better(review: ReviewController, folder: Path) -> None:
    assert "looks at random tell" in review.rest
    review.press("A")
    assert "at random" in review.why
    drawn = asked(review)
    assert (folder / "decisions.csv").read_text().splitlines()[1].startswith(f"{drawn[0]},{drawn[1]},drawn")
    assert "1 look waits" in review.rest
    review.press("Enter")
    assert "at random" not in review.why
    assert "95 % confidence" in review.rest


def test_a_refit_needs_random_looks_and_says_what_it_changed(review: ReviewController, folder: Path) -> None:
    review.refit()
    assert "no look at random" in review.message
    for _ in range(40):
        review.press("A")
        review.press("Enter")
    review.refit()
    assert not review.message
    assert review.why.startswith("Refitted from 40 random looks")
    review.press("J")
    assert not review.why.startswith("Refitted")


def test_decisions_are_read_as_those_of_any_other_review(review: ReviewController, folder: Path) -> None:
    cells = review.session.start.detections
    frame, label = asked(review)
    review.press("0")
    found = read_decisions(folder / "decisions.csv", cells)
    assert found.known.nonzero()[0].tolist() == [int(cells.find(frame, label))]


def test_marks_show_candidates_in_their_frame_and_likely_ones_in_the_cells(review: ReviewController) -> None:
    question, cells = review.question, review.session.start.detections
    assert question is not None
    spot = marks_of(question, cells)
    cell = int(cells.find(*asked(review)))
    assert spot.place == tuple(cells.coords[cell].tolist())
    by_frame: dict[int, list[Mark]] = {}
    for mark in spot.marks:
        by_frame.setdefault(mark.frame, []).append(mark)
    assert [mark.here for mark in by_frame[spot.frame]] == [
        mark.kind == "asked" for mark in by_frame[spot.frame]
    ]
    for key, one in enumerate(question["candidates"], start=1):
        named = {mark.frame for mark in spot.marks if mark.text.startswith(f"{key}:")}
        likely = one["probability"] >= 0.02 or question["chosen"] == [one["frame"], one["label"]]
        assert named == ({one["frame"], spot.frame} if likely else {one["frame"]})
    assert all(any(mark.kind == "asked" for mark in marks) for marks in by_frame.values())
    assert sum(mark.kind == "chosen" and mark.here for mark in spot.marks) == (question["chosen"] is not None)


@pytest.mark.parametrize("z", [2.4, 5.6])
def test_in_a_stack_marks_stand_in_whole_planes(z: float) -> None:
    cells = Detections.from_points(np.array([0, 1]), np.array([[z, 4.0, 4.0], [2.4, 6.0, 6.0]]))
    one = {"frame": 0, "label": 1, "place": [z, 4.0, 4.0], "probability": 0.9}
    spot = marks_of({"frame": 1, "label": 1, "chosen": None, "candidates": [one]}, cells)
    planes = {mark.place[0] for mark in spot.marks if mark.kind == "candidate"}
    assert planes == {2.0, float(round(z))}
