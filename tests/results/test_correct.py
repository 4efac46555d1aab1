"""Decisions condition the posterior; what contradicts itself or the movie is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.movies import random_movie
from torchtrack_uq import AssignmentPosterior, InputError, UncertainTracker, confirm
from torchtrack_uq.calibration.annotations import Decisions, read_decisions
from torchtrack_uq.cli import main
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.links.without_cells import without_cells
from torchtrack_uq.results.queue import review_queue
from torchtrack_uq.results.tracking_result import TrackingResult


def nothing(result: TrackingResult) -> Decisions:
    n = len(result.detections)
    return Decisions(np.full(n, -1), np.zeros(n, np.bool_), np.zeros(n, np.bool_))


@given(seed=st.integers(0, 2**31), data=st.data())
@settings(deadline=None, max_examples=25)
def test_striking_out_cells_is_conditioning_on_their_having_no_links(seed: int, data: st.DataObject) -> None:
    graph = random_movie([3, 3], seed)
    bad = np.array(data.draw(st.lists(st.booleans(), min_size=6, max_size=6)))
    left, kept = without_cells(graph, torch.from_numpy(bad))
    exact = AssignmentPosterior("exact")
    # forbidding all links of these cells leaves the same sum over the assignments of the others
    score = graph.score.masked_fill(~kept, -torch.inf)
    alone = graph.with_scores(score, graph.appear, graph.disappear, graph.divide)
    torch.testing.assert_close(exact(left).link, exact(alone).link[kept])
    torch.testing.assert_close(exact(left).null, exact(alone).null[torch.from_numpy(~bad)])


def test_no_decision_changes_nothing(tracked: TrackingResult) -> None:
    same = tracked.correct(nothing(tracked))
    assert torch.equal(same.probabilities.log_link, tracked.probabilities.log_link)
    np.testing.assert_array_equal(same.selected, tracked.selected)


def test_decisions_are_kept_and_reach_the_neighbours(tracked: TrackingResult) -> None:
    cell = int(tracked.review(1)["cell"].iloc[0])
    decisions = nothing(tracked)
    decisions.known[cell] = True
    decisions.mother[cell] = -1 if tracked.mother[cell] >= 0 else int(tracked.candidates.mother[0])
    if decisions.mother[cell] >= 0:
        pytest.skip("the most doubtful cell has no mother in this movie")
    corrected = tracked.correct(decisions)
    assert corrected.mother[cell] == -1
    assert corrected.decision_probability[cell] == 1
    assert tracked.scaled is not None
    posterior = AssignmentPosterior("auto")(confirm(tracked.scaled, [cell], [-1]))
    torch.testing.assert_close(corrected.probabilities.log_link, posterior.log_link)
    assert bool((corrected.probabilities.link - tracked.probabilities.link).abs().max() > 0.01)


def test_bad_detections_are_in_no_output(tracked: TrackingResult, tmp_path: Path) -> None:
    decisions = nothing(tracked)
    struck = [5, 40, 41]
    decisions.bad[struck] = True
    out = tracked.correct(decisions).save(tmp_path / "out", progress=False)
    cells = pd.read_csv(out / "cells.csv")
    assert len(cells) == len(tracked.detections) - 3
    left = set(zip(cells["frame"], cells["label"], strict=True))
    assert not left & {(tracked.detections.frame[i], tracked.detections.label[i]) for i in struck}
    again = TrackingResult.load(out)
    assert again.movie is not None
    for t in range(again.movie.n_frames):
        seen = np.unique(again.movie.read_mask(t))
        np.testing.assert_array_equal(seen[seen > 0], again.detections.label[again.detections.in_frame(t)])


def test_a_mother_who_is_judged_bad_is_a_contradiction(tracked: TrackingResult) -> None:
    cell = int(np.flatnonzero(tracked.mother >= 0)[0])
    decisions = nothing(tracked)
    decisions.known[cell], decisions.mother[cell] = True, tracked.mother[cell]
    decisions.bad[tracked.mother[cell]] = True
    with pytest.raises(InputError, match="is judged bad, but is given as mother"):
        tracked.correct(decisions)


def test_what_contradicts_an_earlier_correction_is_told_in_its_own_words(tracked: TrackingResult) -> None:
    cells = tracked.detections
    mother, daughters = 0, np.flatnonzero(cells.frame == 1)[:3]
    first = nothing(tracked)
    first.mother[daughters[:2]], first.known[daughters[:2]] = mother, True
    done = tracked.correct(first)
    assert done.decided is not None
    assert np.flatnonzero(done.decided).tolist() == daughters[:2].tolist()
    third, bad = nothing(done), nothing(done)
    third.mother[daughters[2]], third.known[daughters[2]] = mother, True
    with pytest.raises(InputError, match="more than two daughters, those of earlier corrections included"):
        done.correct(third)
    bad.bad[mother] = True
    with pytest.raises(InputError, match="is judged bad, but is given as mother"):
        done.correct(bad)
    third.mother[daughters[1]], third.known[daughters[1]] = -1, True  # which makes room
    assert done.correct(third).mother[daughters].tolist() == [mother, -1, mother]


def test_methods_without_a_posterior_over_assignments_are_refused() -> None:
    images, masks = hela_example()
    result = UncertainTracker("distance", "SM").track(images, masks, progress=False)
    with pytest.raises(InputError, match="track with --method auto"):
        result.correct(nothing(result))


def test_the_command_corrects_from_a_spreadsheet(
    tracked: TrackingResult, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = tracked.review(1).iloc[0]
    table = pd.DataFrame(
        [{"frame": row["frame"], "label": row["label"], "verdict": "none", "mother_frame": "", "mother": ""}]
    )
    table.to_csv(tmp_path / "decisions.csv", index=False)
    assert (
        main(["correct", str(saved), str(tmp_path / "decisions.csv"), "-o", str(tmp_path / "new"), "--quiet"])
        == 0
    )
    assert "1 decisions" in capsys.readouterr().out
    links = pd.read_csv(tmp_path / "new" / "links.csv")
    chosen = links[(links["frame"] == row["frame"]) & (links["daughter"] == row["label"]) & links["selected"]]
    assert chosen["mother"].tolist() == [0]
    assert chosen["probability"].tolist() == [1.0]
    decided = read_decisions(tmp_path / "decisions.csv", TrackingResult.load(saved).detections)
    assert int(decided.known.sum()) == 1


def test_results_are_never_corrected_in_place(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in saved.iterdir()}
    (tmp_path / "d.csv").write_text("frame,label,verdict,mother_frame,mother\n1,1,none,,\n")
    assert main(["correct", str(saved), str(tmp_path / "d.csv"), "-o", str(saved), "--overwrite"]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert {file.name: file.stat().st_mtime_ns for file in saved.iterdir()} == before


def test_no_list_asks_again_about_what_was_decided(tracked: TrackingResult, tmp_path: Path) -> None:
    asked = tracked.review(2)["cell"].to_numpy()
    decisions = nothing(tracked)
    decisions.known[asked[0]] = True
    decisions.mother[asked[0]] = tracked.mother[asked[0]]  # as the tracker did
    corrected = tracked.correct(decisions)
    corrected.save(tmp_path / "new", progress=False)
    loaded = TrackingResult.load(tmp_path / "new")
    name = tracked.detections.frame_number[asked[0]], tracked.detections.name[asked[0]]
    for again in (corrected, loaded, loaded.correct(nothing(loaded))):
        assert asked[0] not in again.review()["cell"].to_numpy()
        queue = review_queue(again)
        assert name not in set(zip(queue["frame"], queue["label"], strict=True))
    assert asked[0] in tracked.correct(nothing(tracked)).review()["cell"].to_numpy()
