"""Temperature and event scores follow the random looks of a review, and no others."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from torchtrack_uq import InputError
from torchtrack_uq.cli.main import main
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.refit import random_targets, refit
from torchtrack_uq.review.rest import looks_of
from torchtrack_uq.review.session import ReviewSession


def as_tracked(session: ReviewSession, cell: int) -> Decision:
    cells, mother = session.start.detections, int(session.start.mother[cell])
    name = int(cells.frame_number[cell]), int(cells.name[cell])
    if mother < 0:
        return Decision(*name, "none")
    return Decision(*name, "mother", int(cells.frame_number[mother]), int(cells.name[mother]))


def drawn_looks(session: ReviewSession, n: int, *, wrong_share: float) -> list[Decision]:
    """Rows of a log: n draws, of which some are answered with the likeliest other mother."""
    rng = np.random.default_rng(0)
    cells, graph = session.start.detections, session.start.candidates
    daughter, mother = graph.daughter.numpy(), graph.mother.numpy()
    rows = []
    for cell in rng.permutation(np.flatnonzero(cells.frame > 0))[:n].tolist():
        answer = as_tracked(session, cell)
        others = mother[(daughter == cell) & (mother != session.start.mother[cell])]
        if rng.random() < wrong_share and len(others):
            other = int(others[0])
            answer = Decision(*answer.cell, "mother", int(cells.frame_number[other]), int(cells.name[other]))
        rows += [Decision(*answer.cell, "drawn"), answer]
    return rows


def test_looks_that_agree_make_surer_and_looks_that_disagree_less_sure(session: ReviewSession) -> None:
    _, sure = refit(session.start, drawn_looks(session, 150, wrong_share=0.0))
    _, unsure = refit(session.start, drawn_looks(session, 30, wrong_share=0.2))
    assert sure.temperature[1] < sure.temperature[0] < unsure.temperature[1]
    assert sure.expected_errors[1] < sure.expected_errors[0] < unsure.expected_errors[1]
    assert unsure.interval[0] < unsure.temperature[1] < unsure.interval[1]


def test_looks_that_a_person_chose_are_not_fitted_to(session: ReviewSession) -> None:
    rows = drawn_looks(session, 40, wrong_share=0.1)
    chosen = [one for one in drawn_looks(session, 80, wrong_share=1.0) if one.verdict != "drawn"]
    seen = {one.cell for one in rows}
    alone = random_targets(session.start, rows)
    beside = random_targets(session.start, rows + [one for one in chosen if one.cell not in seen])
    assert torch.equal(alone.known, beside.known)
    assert torch.equal(alone.mother, beside.mother)
    with pytest.raises(InputError, match="no look at random has a verdict"):
        refit(session.start, chosen)


@pytest.mark.nightly  # a minute
def test_a_session_refits_ranks_by_it_and_keeps_its_promise_about_what_was_tracked(
    session: ReviewSession,
) -> None:
    for row in drawn_looks(session, 40, wrong_share=0.3):
        session.log.append(row)
    before = session.rest()
    change = session.refit()
    assert math.isclose(session.current.temperature, change.temperature[1])
    looks, _ = looks_of(session.start, session.log.decisions)
    assert session.rest().followed <= change.n_changed
    assert session.rest().errors >= min(before.errors, looks.n_left)
    undecided = session.queue.iloc[0]
    session.decide(Decision(int(undecided["frame"]), int(undecided["label"]), "none"))
    assert math.isclose(session.current.temperature, change.temperature[1])


def test_correct_refits_where_it_is_asked_to(
    session: ReviewSession, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in drawn_looks(session, 30, wrong_share=0.0):
        session.log.append(row)
    new = tmp_path / "new"
    images = str(hela_example()[0])
    command = ["correct", str(folder), str(folder / "decisions.csv"), "-o", str(new), "-i", images, "--quiet"]
    assert main([*command, "--refit"]) == 0
    assert "Refitted from 30 random looks" in capsys.readouterr().out
    table = tmp_path / "table.csv"
    table.write_text("frame,label,verdict,mother_frame,mother\n1,1,none,,\n")
    command[2], command[4] = str(table), str(tmp_path / "other")
    assert main([*command, "--refit"]) == 2
    assert "does not say which looks were drawn" in capsys.readouterr().err
