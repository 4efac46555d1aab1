"""Corrections of tracks that another tracker made change what follows from them, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import ScoredTracks, TrackingResult, score_tracks
from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.review.decision_log import Decision, DecisionLog
from torchtrack_uq.review.session import ReviewSession


@pytest.fixture(scope="module")
def scored() -> ScoredTracks:
    """Two pairs of cells, far apart, that change places between frames 1 and 2, and back."""
    y, x = np.array([5.0, 8, 205, 208]), np.arange(4) * 1.0
    rows = [
        {"frame": t, "particle": (k ^ 1) if t == 2 else k, "y": y[k], "x": x[t]}
        for t in range(4)
        for k in range(4)
    ]
    return score_tracks(pd.DataFrame(rows), progress=False)


def decide(result: TrackingResult, cell: int, mother: int) -> TrackingResult:
    n = len(result.detections)
    decisions = Decisions(np.full(n, -1), np.zeros(n, np.bool_), np.zeros(n, np.bool_))
    decisions.known[cell], decisions.mother[cell] = True, mother
    return result.correct(decisions)


def test_a_link_that_nobody_judged_stays(scored: ScoredTracks) -> None:
    theirs = scored.result
    doubtful = np.flatnonzero(np.nan_to_num(theirs.decision_probability, nan=1) < 0.1)
    assert len(doubtful) == 8
    cell = int(doubtful[0])
    right = int(theirs.mother[int(doubtful[1])])
    corrected = decide(theirs, cell, right)
    assert corrected.mother[cell] == right
    others = np.arange(len(theirs.mother)) != cell
    np.testing.assert_array_equal(corrected.mother[others], theirs.mother[others])
    assert int(doubtful[1]) in corrected.review(7)["cell"].tolist()


def test_daughters_of_what_was_struck_out_get_their_likeliest_mother_and_far_cells_keep_theirs(
    scored: ScoredTracks,
) -> None:
    theirs = scored.result
    n = len(theirs.detections)
    bad = np.arange(n) == 4  # of frame 1
    corrected = theirs.correct(Decisions(np.full(n, -1), np.zeros(n, np.bool_), bad))
    assert len(corrected.mother) == n - 1
    kept = np.flatnonzero(~bad)
    old = np.where(corrected.mother >= 0, kept[corrected.mother.clip(min=0)], -1)
    near = theirs.mother[kept] == 4
    assert near.any()
    assert (old[near] == 5).all()  # the only other cell within reach
    far = theirs.detections.coords[kept, 0] > 100
    np.testing.assert_array_equal(old[far], theirs.mother[kept][far])
    assert np.bincount(corrected.mother[corrected.mother >= 0]).max() <= 2


def test_a_review_repairs_nothing_behind_ones_back(scored: ScoredTracks, tmp_path: Path) -> None:
    folder = scored.save(tmp_path / "out", progress=False)
    session = ReviewSession.open(folder)
    assert session.start.tracks_given
    before = session.progress.expected_errors
    row = session.queue.iloc[0]
    session.decide(Decision(int(row["frame"]), int(row["label"]), "none"))
    assert session.progress.expected_errors > before / 2
    assert len(DecisionLog(folder / "decisions.csv").standing()) == 1
