"""The log only grows, survives crashes at any byte, and is read as annotation."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchtrack_uq import Detections, InputError
from torchtrack_uq.calibration.annotations import read_decisions
from torchtrack_uq.review.decision_log import Decision, DecisionLog, is_log

CELLS = Detections.from_points(np.repeat(np.arange(4), 3), np.zeros((12, 2)))
frames, labels = st.integers(1, 3), st.integers(1, 3)
decisions = st.one_of(
    st.builds(Decision, frames, labels, st.sampled_from(["none", "bad", "undo"])),
    st.builds(lambda f, a, b: Decision(f, a, "mother", f - 1, b), frames, labels, labels),
)


@given(made=st.lists(decisions, min_size=1, max_size=12), cut=st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_crash_at_any_byte_loses_at_most_the_row_being_written(
    tmp_path_factory: pytest.TempPathFactory, made: list[Decision], cut: int
) -> None:
    file = tmp_path_factory.mktemp("log") / "decisions.csv"
    log, ends = DecisionLog(file, "me"), []
    for decision in made:
        log.append(decision)
        ends.append(file.stat().st_size)
    kept = cut % (ends[-1] + 1)
    file.write_bytes(file.read_bytes()[:kept])
    again = DecisionLog(file)
    whole = sum(end <= kept for end in ends)
    assert again.decisions in (made[:whole], made[: whole + 1])  # whole but for its end or a letter of who
    again.append(Decision(1, 1, "none"))  # and it goes on
    assert DecisionLog(file).decisions[-1] == Decision(1, 1, "none")


@given(made=st.lists(decisions, min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_what_stands_is_what_a_fit_reads(
    tmp_path_factory: pytest.TempPathFactory, made: list[Decision]
) -> None:
    file = tmp_path_factory.mktemp("log") / "decisions.csv"
    log = DecisionLog(file)
    for decision in made:
        log.append(decision)
    standing = log.standing()
    crowd: dict[tuple[int | None, int | None], int] = {}
    for one in standing.values():
        if one.verdict == "mother":
            crowd[one.mother_frame, one.mother] = crowd.get((one.mother_frame, one.mother), 0) + 1
    if not standing or max(crowd.values(), default=0) > 2:
        with pytest.raises(InputError):
            read_decisions(file, CELLS)
        return
    found = read_decisions(file, CELLS)
    for (frame, label), one in standing.items():
        cell = int(CELLS.find(frame, label))
        assert found.bad[cell] == (one.verdict == "bad")
        assert found.known[cell] == (one.verdict != "bad")
        if one.mother_frame is not None:
            assert found.mother[cell] == int(CELLS.find(one.mother_frame, one.mother))
    assert int(found.known.sum() + found.bad.sum()) == len(standing)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "expected frame, label, verdict"),
        ("frame,label,verdict,mother_frame,mother,time,who\nx,1,none,,,t,w\n", "line 2 is no decision"),
        ("frame,label,verdict,mother_frame,mother,time,who\n1,1,perhaps,,,t,w\n", "verdict is 'perhaps'"),
        ("frame,label,verdict,mother_frame,mother,time,who\n1\n", "line 2 is no decision"),
    ],
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        DecisionLog(file)
    assert file.read_text() == content


def test_a_name_that_looks_like_a_formula_or_holds_commas_is_one_field(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    DecisionLog(file, 'a,"b"\n<script>').append(Decision(1, 1, "none"))
    assert DecisionLog(file).decisions == [Decision(1, 1, "none")]


@pytest.mark.parametrize(
    "wrong", [{"verdict": "mother"}, {"verdict": "none", "mother": 1, "mother_frame": 0}, {"verdict": ""}]
)
def test_a_decision_says_one_thing(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="verdict"):
        Decision(1, 1, **wrong)  # type: ignore[arg-type]


def as_floats(text: str) -> str:
    return re.sub(r"(?m)^(\d+),(\d+),(\w+),(\d*),(\d*),", r"\1.0,\2.0,\3,\4.0,\5.0,", text).replace(
        ",.0", ","
    )


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        as_floats,
        lambda text: text.rstrip("\n"),
        lambda text: text + ",,,,,,\n\n",
        lambda text: text.replace("none", "None"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
    ],
    ids=[
        "mark in front",
        "ends of lines",
        "floats",
        "no last end",
        "empty rows",
        "capitals",
        "semicolons",
        "tabs",
    ],
)
def test_what_spreadsheets_do_to_a_log_changes_no_decision(
    tmp_path: Path, edited: Callable[[str], str]
) -> None:
    file = tmp_path / "decisions.csv"
    log = DecisionLog(file, "me")
    for one in (Decision(1, 1, "none"), Decision(2, 2, "drawn"), Decision(2, 2, "mother", 1, 3)):
        log.append(one)
    file.write_text(edited(file.read_text()), newline="")
    assert is_log(file)
    again = DecisionLog(file)
    assert again.decisions == log.decisions
    again.append(Decision(1, 1, "undo"))
    assert DecisionLog(file).standing() == {(2, 2): Decision(2, 2, "mother", 1, 3)}
    found = read_decisions(file, CELLS)
    assert found.known.sum() == 1
    assert found.mother[CELLS.find(2, 2)] == CELLS.find(1, 3)


def test_a_row_that_a_crash_cut_off_is_no_decision_of_another_mother(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    head = "frame,label,verdict,mother_frame,mother,time,who\n1,1,none,,,t,w\n"
    file.write_text(head + "2,2,mother,1,1")  # of 12
    assert read_decisions(file, CELLS).known.sum() == 1


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "decisions.csv"
    log = DecisionLog(file)
    log.append(Decision(1, 1, "none"))
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 5, before[1]))
    try:
        with pytest.raises(InputError, match="cannot be written"):
            log.append(Decision(2, 2, "none"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert DecisionLog(file).decisions == log.decisions == [Decision(1, 1, "none")]
    log.append(Decision(2, 2, "none"))
    assert DecisionLog(file).decisions == [Decision(1, 1, "none"), Decision(2, 2, "none")]
