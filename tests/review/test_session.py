"""Every decision conditions the posterior at once, can be withdrawn, and survives the session."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from torchtrack_uq import AssignmentPosterior, InputError, UncertainTracker, confirm
from torchtrack_uq.review.decision_log import Decision, DecisionLog
from torchtrack_uq.review.session import ReviewSession


def first_linked(session: ReviewSession) -> tuple[int, int]:
    """The first cell of the queue that was linked, as frame and label."""
    row = session.queue[session.queue["mother"] > 0].iloc[0]
    return int(row["frame"]), int(row["label"])


def test_a_decision_conditions_all_others(session: ReviewSession) -> None:
    frame, label = first_linked(session)
    cell = int(session.start.detections.find(frame, label))
    session.decide(Decision(frame, label, "none"))
    assert session.start.scaled is not None
    expected = AssignmentPosterior("auto")(confirm(session.start.scaled, [cell], [-1]))
    torch.testing.assert_close(session.current.probabilities.log_link, expected.log_link)
    assert not ((session.queue["frame"] == frame) & (session.queue["label"] == label)).any()
    assert session.progress.decided == session.progress.changed == 1


def test_undo_and_redo_go_back_and_forth_exactly(session: ReviewSession) -> None:
    before = session.current.probabilities.log_link.clone()
    rows = session.queue.head(3)
    for frame, label in zip(rows["frame"].tolist(), rows["label"].tolist(), strict=True):
        session.decide(Decision(frame, label, "none"))
    after = session.current.probabilities.log_link.clone()
    for _ in range(3):
        assert session.undo() is not None
    assert session.undo() is None
    assert torch.equal(session.current.probabilities.log_link, before)
    for _ in range(3):
        assert session.redo() is not None
    assert session.redo() is None
    assert torch.equal(session.current.probabilities.log_link, after)


def test_undo_of_a_second_verdict_brings_the_first_one_back(session: ReviewSession, folder: Path) -> None:
    rows = session.queue.head(2)
    (frame, label), other = zip(rows["frame"].tolist(), rows["label"].tolist(), strict=True)
    first, second = Decision(frame, label, "none"), Decision(frame, label, "bad")
    session.decide(first)
    session.decide(Decision(*other, "none"))
    session.decide(second)
    assert session.undo() == second
    assert session.log.standing()[frame, label] == first
    assert ReviewSession.open(folder).log.standing() == session.log.standing()
    assert session.undo() == Decision(*other, "none")
    assert session.redo() == Decision(*other, "none")
    assert session.redo() == second
    assert [session.undo() for _ in range(3)] == [second, Decision(*other, "none"), first]
    assert session.undo() is None
    assert not session.log.standing()


def test_a_killed_session_goes_on_where_it_was(session: ReviewSession, folder: Path) -> None:
    rows = session.queue.head(2)
    for frame, label in zip(rows["frame"].tolist(), rows["label"].tolist(), strict=True):
        session.decide(Decision(frame, label, "none"))
    again = ReviewSession.open(folder)  # nothing was closed
    assert torch.equal(again.current.probabilities.log_link, session.current.probabilities.log_link)
    assert again.queue.equals(session.queue)
    assert again.undo() == Decision(int(rows["frame"].iloc[1]), int(rows["label"].iloc[1]), "none")


def test_what_contradicts_is_refused_and_not_written(session: ReviewSession, folder: Path) -> None:
    detections = session.start.detections
    mother = int(detections.label[detections.in_frame(0)][0])
    daughters = detections.label[detections.in_frame(1)][:3].tolist()
    for label in daughters[:2]:
        session.decide(Decision(1, label, "mother", 0, mother))
    written = (folder / "decisions.csv").read_bytes()
    for wrong, message in [
        (Decision(1, daughters[2], "mother", 0, mother), "more than two daughters"),
        (Decision(0, mother, "bad"), "judged bad, but is given as mother"),
        (Decision(1, 99_999, "none"), "there is no cell 99999"),
        (Decision(0, mother, "none"), "nobody's daughters"),
        (
            Decision(5, int(detections.label[detections.in_frame(5)][0]), "mother", 0, mother),
            "links span up to",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            session.decide(wrong)
    assert (folder / "decisions.csv").read_bytes() == written
    assert session.progress.decided == 2


def test_two_sessions_on_one_folder_know_of_each_others_decisions(
    session: ReviewSession, folder: Path
) -> None:
    detections, other = session.start.detections, ReviewSession.open(folder)
    mother = int(detections.label[detections.in_frame(0)][0])
    daughters = detections.label[detections.in_frame(1)][:3].tolist()
    session.decide(Decision(1, daughters[0], "mother", 0, mother))
    other.decide(Decision(1, daughters[1], "mother", 0, mother))
    with pytest.raises(InputError, match="more than two daughters"):
        session.decide(Decision(1, daughters[2], "mother", 0, mother))
    assert session.undo() == Decision(1, daughters[0], "mother", 0, mother)  # her own, not the latest of all
    assert other.undo() == Decision(1, daughters[1], "mother", 0, mother)
    assert not ReviewSession.open(folder).log.standing()


def test_a_struck_out_detection_is_gone_from_questions(session: ReviewSession) -> None:
    frame, label = first_linked(session)
    session.decide(Decision(frame, label, "bad"))
    assert session.question(frame, label)["struck_out"]
    assert session.progress.struck_out == 1
    session.undo()
    assert not session.question(frame, label)["struck_out"]


def test_skipped_cells_come_last(session: ReviewSession) -> None:
    row = session.queue.iloc[0]
    session.skip(int(row["frame"]), int(row["label"]))
    last = session.queue.iloc[-1]
    assert (last["frame"], last["label"]) == (row["frame"], row["label"])


def test_the_questions_probabilities_are_those_of_now(session: ReviewSession) -> None:
    frame, label = first_linked(session)
    question = session.question(frame, label)
    total = question["none"] + sum(one["probability"] for one in question["candidates"])
    assert total == pytest.approx(1, abs=0.05)
    best = question["candidates"][0]
    session.decide(Decision(frame, label, "mother", best["frame"], best["label"]))
    again = session.question(frame, label)
    assert again["candidates"][0]["probability"] == pytest.approx(1)
    assert again["decision"]["verdict"] == "mother"


def test_deciding_everything_as_the_truth_makes_the_movie_right(session: ReviewSession) -> None:
    """An oracle that goes down the queue ends with no doubt, and each decision stands in the tracks."""
    start = session.start
    for _ in range(15):
        if not len(session.queue):
            break
        row = session.queue.iloc[0]
        cell = int(start.detections.find(int(row["frame"]), int(row["label"])))
        mother = int(start.mother[cell])
        if mother < 0:
            session.decide(Decision(int(row["frame"]), int(row["label"]), "none"))
        else:
            named = int(start.detections.frame[mother]), int(start.detections.label[mother])
            session.decide(Decision(int(row["frame"]), int(row["label"]), "mother", *named))
    assert session.progress.changed == 0
    assert session.progress.expected_errors < session.progress.expected_at_start
    np.testing.assert_array_equal(session.current.selected, start.selected)


def test_points_whose_frames_are_numbered_in_steps_can_be_decided(tmp_path: Path) -> None:
    place = np.array([[5.0, 5.0], [5.0, 30.0]])
    rows = [
        {"frame": 100 + 10 * t, "id": k + 1, "y": y, "x": x + t}
        for t in range(4)
        for k, (y, x) in enumerate(place)
    ]
    result = UncertainTracker("distance").track_points(pd.DataFrame(rows), progress=False)
    session = ReviewSession(result, DecisionLog(tmp_path / "decisions.csv"))
    session.decide(Decision(110, 1, "mother", 100, 2))
    assert session.question(110, 1)["chosen"] == [100, 2]
    with pytest.raises(InputError, match="links span up to 2 frame"):
        session.decide(Decision(130, 1, "mother", 100, 1))
