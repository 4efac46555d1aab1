"""Random looks bound the errors among decisions that nobody looked at, through interruptions and second thoughts."""

from pathlib import Path

import numpy as np
import pytest

from torchtrack_uq import InputError
from torchtrack_uq.cli.main import main
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.question import FOLLOWED
from torchtrack_uq.review.rest import looks_of
from torchtrack_uq.review.session import ReviewSession


def agree(session: ReviewSession, cell: tuple[int, int]) -> None:
    """Decide as the tracker did."""
    cells, found = session.start.detections, int(session.start.detections.find(*cell))
    mother = int(session.start.mother[found])
    if mother < 0:
        session.decide(Decision(*cell, "none"))
    else:
        at = int(cells.frame_number[mother]), int(cells.name[mother])
        session.decide(Decision(*cell, "mother", *at))


def test_random_looks_bound_what_is_left_and_chosen_ones_do_not(session: ReviewSession) -> None:
    whole = session.rest()
    assert whole.errors == whole.n
    assert "looks at random tell" in whole.describe()
    row = session.queue.iloc[0]
    agree(session, (int(row["frame"]), int(row["label"])))
    assert session.rest().errors == session.rest().n == whole.n - 1
    for _ in range(30):
        drawn = session.draw()
        assert drawn is not None
        agree(session, drawn)
    rest = session.rest()
    assert rest.n == whole.n - 31
    assert rest.drawn == 30
    assert rest.errors < rest.n / 3
    assert f" % of the {rest.n:,}" in rest.describe()
    said = float(rest.describe().removeprefix("At most ").partition(" ")[0])
    assert 100 * rest.share <= said <= 100 * rest.share * 1.1  # a bound is not rounded down


def test_decisions_of_an_earlier_correction_say_nothing_about_the_rest(
    session: ReviewSession, folder: Path, tmp_path: Path
) -> None:
    for _ in range(30):
        drawn = session.draw()
        assert drawn is not None
        session.decide(Decision(*drawn, "none"))  # nearly all are changed
    assert session.rest().errors > 0.9 * session.rest().n
    new = tmp_path / "new"
    assert main(["correct", str(folder), str(folder / "decisions.csv"), "-o", str(new), "--quiet"]) == 0
    (new / "decisions.csv").write_bytes((folder / "decisions.csv").read_bytes())
    again = ReviewSession.open(new)  # whose tracks agree with all of them
    assert again.rest().drawn == 0
    assert again.rest().errors == again.rest().n == session.rest().n
    assert again.draw() not in session.log.standing()


@pytest.mark.parametrize("verdict", ["drawn", "undo"])
def test_a_chosen_look_cannot_be_passed_off_as_a_random_one(session: ReviewSession, verdict: str) -> None:
    row = session.queue.iloc[0]
    with pytest.raises(InputError, match="expected one of mother, none, bad"):
        session.decide(Decision(int(row["frame"]), int(row["label"]), verdict))
    assert not session.log.decisions


def test_a_random_look_that_was_passed_over_comes_again_also_after_a_crash(
    session: ReviewSession, folder: Path
) -> None:
    drawn = session.draw()
    assert drawn is not None
    session.skip(*drawn)
    assert session.draw() == drawn == ReviewSession.open(folder).draw()
    assert session.rest().waiting == 1
    assert "1 look waits" in session.rest().describe()
    agree(session, drawn)
    assert session.rest().waiting == 0
    assert session.draw() != drawn


def test_only_the_last_verdict_of_a_cell_counts_and_her_first_look(session: ReviewSession) -> None:
    drawn = session.draw()
    assert drawn is not None
    session.decide(Decision(*drawn, "bad"))
    assert looks_of(session.start, session.log.decisions)[0].wrong.tolist() == [True]
    session.undo()
    assert looks_of(session.start, session.log.decisions)[0].answered.tolist() == [False]
    agree(session, drawn)
    looks, _ = looks_of(session.start, session.log.decisions)
    assert (looks.drawn.tolist(), looks.wrong.tolist(), looks.answered.tolist()) == ([True], [False], [True])


def test_decisions_that_follow_from_others_count_as_wrong_until_they_are_looked_at(
    session: ReviewSession,
) -> None:
    start = session.start
    linked = start.mother[start.mother >= 0]
    mother = int(linked[np.bincount(linked)[linked] == 1][0])
    session.decide(
        Decision(int(start.detections.frame_number[mother]), int(start.detections.name[mother]), "bad")
    )
    followed = session.rest().followed
    assert followed >= 1  # her daughter has another mother or none now
    daughter = int(np.flatnonzero(start.mother == mother)[0])
    session.decide(
        Decision(int(start.detections.frame_number[daughter]), int(start.detections.name[daughter]), "none")
    )
    assert session.rest().followed < followed + 1


def test_decisions_that_followed_stand_in_the_queue_until_somebody_looked(session: ReviewSession) -> None:
    start = session.start
    linked = start.mother[start.mother >= 0]
    frames, names = start.detections.frame_number, start.detections.name
    for mother in linked[np.bincount(linked)[linked] == 1][:5].tolist():
        if (int(frames[mother]), int(names[mother])) not in session.log.standing():
            session.decide(Decision(int(frames[mother]), int(names[mother]), "bad"))
    open_ones = session.queue[session.queue["reason"] == FOLLOWED]
    assert len(open_ones) == session.rest().followed >= 2
    frame, label = int(open_ones["frame"].iloc[0]), int(open_ones["label"].iloc[0])
    question = session.question(frame, label)
    assert question["reason"] == FOLLOWED
    if question["chosen"] is None:
        session.decide(Decision(frame, label, "none"))
    else:
        session.decide(Decision(frame, label, "mother", *question["chosen"]))
    assert session.rest().followed == len(open_ones) - 1
    while session.undo() is not None:
        pass
    assert not (session.queue["reason"] == FOLLOWED).any()


def test_the_last_cells_are_drawn_too_and_then_none_is_left(session: ReviewSession) -> None:
    cells = session.start.detections
    later = [
        (int(frame), int(name))
        for frame, name in zip(cells.frame_number, cells.name, strict=True)
        if frame > cells.frame_number[0]
    ]
    session.log.decisions += [Decision(*cell, "none") for cell in later[3:]]
    drawn = set()
    for _ in range(3):
        cell = session.draw()
        assert cell is not None
        drawn.add(cell)
        session.log.append(Decision(*cell, "none"))
    assert drawn == set(later[:3])
    assert session.draw() is None
    assert session.rest().describe() == "Every decision was looked at."


def test_correct_says_how_good_the_rest_is(
    session: ReviewSession, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):
        drawn = session.draw()
        assert drawn is not None
        agree(session, drawn)
    log = (folder / "decisions.csv").read_bytes()
    command = ["correct", str(folder), str(folder / "decisions.csv"), "-o", str(tmp_path / "new"), "--quiet"]
    assert main(command) == 0
    assert session.rest().describe() in capsys.readouterr().out
    assert (folder / "decisions.csv").read_bytes() == log


def test_a_log_of_another_movie_and_an_aim_that_cannot_be_are_refused(session: ReviewSession) -> None:
    with pytest.raises(InputError, match="there is no cell 99999 in frame 1"):
        looks_of(session.start, [Decision(1, 99_999, "drawn")])
    with pytest.raises(InputError, match="must lie between 0 and 1, got 2"):
        session.rest(2.0)
