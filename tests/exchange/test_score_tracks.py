"""Another tracker's links, starts and ends have the probabilities that the posterior gives them, and none is lost."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.data import data_folder
from tests.exchange.small_movie import LINKS, as_spots, small_masks
from tests.exchange.written import trackmate_xml
from torchtrack_uq.datasets import read_annotated
from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange import ScoredTracks, TrackTable, score_tracks
from torchtrack_uq.exchange.their_decisions import NO_CANDIDATE, NO_CELL, SECOND_MOTHER, THIRD_DAUGHTER
from torchtrack_uq.results.to_annotate import decisions_of
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.trackers.distance import DistanceTracker
from torchtrack_uq.trackers.neighbours import typical_displacement
from torchtrack_uq.uncertain_tracker import UncertainTracker


def table_of(links: set[tuple[int, int, int, int]], **columns: object) -> TrackTable:
    """The small movie's spots with these links, by frame and label."""
    spots = as_spots()
    row = {(s.frame, s.label): i for i, s in enumerate(spots.itertuples())}
    ends = np.array([(row[a, b], row[c, d]) for a, b, c, d in sorted(links)]).reshape(-1, 2)
    known: dict[str, object] = {
        "frame": spots["frame"].to_numpy(),
        "coords": spots[["y", "x"]].to_numpy(),
        "label": spots["label"].to_numpy(),
        "mother": ends[:, 0],
        "daughter": ends[:, 1],
    }
    return TrackTable("mine", **{**known, **columns})  # type: ignore[arg-type]


def scored(links: set[tuple[int, int, int, int]], **columns: object) -> ScoredTracks:
    return score_tracks(table_of(links, **columns), small_masks(), progress=False)


def row_of(found: ScoredTracks, kind: str, frame: int, label: int) -> pd.Series:
    d = found.decisions
    rows = d[(d["kind"] == kind) & (d["frame"] == frame) & (d["label"] == label)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_probabilities_are_those_of_tracking_the_movie() -> None:
    ours = UncertainTracker("distance").track(None, small_masks(), progress=False)
    found = scored(LINKS)
    table = ours.links.set_index(["frame", "daughter", "mother", "mother_frame"])["probability"]
    links = found.decisions[found.decisions["kind"] == "link"]
    assert len(links) == len(LINKS)
    for row in links.itertuples():
        expected = table[row.frame, row.label, row.mother, row.mother_frame]
        assert row.probability == pytest.approx(expected, abs=1e-6)


def test_their_links_are_the_selected_ones() -> None:
    found = scored(LINKS)
    cells = found.result.detections
    daughter = np.flatnonzero(found.result.mother >= 0)
    mother = found.result.mother[daughter]
    ends = (cells.frame[mother], cells.label[mother], cells.frame[daughter], cells.label[daughter])
    assert set(zip(*(end.tolist() for end in ends), strict=True)) == LINKS
    assert found.decisions["possible"].all()


def test_every_kind_of_decision_is_there() -> None:
    """Cell 3 starts in frame 3, cell 2 ends in frame 2; starts and ends of the movie itself are none."""
    kept = LINKS - {(2, 2, 3, 3), (2, 2, 3, 4), (4, 1, 5, 1)}
    found = scored(kept)
    kinds = found.decisions.groupby("kind").size().to_dict()
    assert kinds == {"link": len(kept), "start": 3, "end": 2}
    p = found.result.probabilities
    cells = found.result.detections
    (three,), (two,) = cells.find([3], [3]), cells.find([2], [2])
    assert row_of(found, "start", 3, 3)["probability"] == pytest.approx(float(p.null[three]), abs=1e-6)
    assert row_of(found, "end", 2, 2)["probability"] == pytest.approx(float(p.disappear[two]), abs=1e-6)
    division = row_of(scored(LINKS), "division", 2, 2)
    assert division["probability"] == pytest.approx(float(p.divide[two]), abs=1e-6)
    assert division["alternative"] == "one daughter"


def test_a_swap_is_found_first_and_the_right_mother_named() -> None:
    """Cells 1 and 2 change places between frames 1 and 2."""
    swapped = (LINKS - {(1, 1, 2, 1), (1, 2, 2, 2)}) | {(1, 1, 2, 2), (1, 2, 2, 1)}
    first = scored(swapped).decisions.head(2)
    assert set(zip(first["kind"], first["frame"], strict=True)) == {("link", 2)}
    assert (first["probability"] < 0.1).all()
    assert (first["alternative"] == "mother").all()
    assert (first["alternative_label"] == first["label"]).all()


def test_a_link_that_the_scorer_does_not_know_has_probability_0_and_changes_nothing() -> None:
    near = DistanceTracker(search_range=4, scale=1, reach=1.0)
    far = (4, 3, 5, 1)
    links = (LINKS - {(4, 1, 5, 1)}) | {far}
    found = score_tracks(table_of(links), small_masks(), tracker=near, progress=False)
    row = row_of(found, "link", 5, 1)
    assert (row["probability"], row["reason"], row["possible"]) == (0.0, NO_CANDIDATE, True)
    assert found.no_candidate.sum() >= 1
    plain = UncertainTracker(near).track(None, small_masks(), progress=False)
    ours, theirs = plain.probabilities, found.result.probabilities
    added = theirs.link == 0
    np.testing.assert_array_equal(theirs.link[~added], ours.link)
    np.testing.assert_array_equal(theirs.null, ours.null)
    np.testing.assert_allclose(found.result.cells["entropy"], plain.cells["entropy"])
    assert not found.result.doubts.doubt[np.isnan(found.result.doubts.doubt)].size


def test_a_third_daughter_and_a_merge_are_kept_and_said() -> None:
    third = scored((LINKS | {(2, 2, 4, 3)}) - {(3, 3, 4, 3)})
    assert len(third.decisions[third.decisions["kind"] == "link"]) == len(LINKS)
    assert sorted(third.impossible[third.impossible != ""]) == [THIRD_DAUGHTER]
    assert row_of(third, "division", 2, 2)["reason"] == THIRD_DAUGHTER
    merged = scored(LINKS | {(1, 1, 2, 2)})
    rows = merged.decisions[merged.decisions["reason"] == SECOND_MOTHER]
    assert rows[["frame", "label", "mother_frame", "mother"]].to_numpy().tolist() == [[2, 2, 1, 1]]
    assert rows["probability"].notna().all()
    assert merged.result.selected.sum() == len(LINKS)
    assert "1 link: second mother" in merged.summary()


def test_links_over_gaps_are_candidates_as_far_as_theirs_reach() -> None:
    skipped = (LINKS - {(1, 1, 2, 1), (2, 1, 3, 1), (3, 1, 4, 1)}) | {(1, 1, 4, 1)}
    found = scored(skipped)
    assert found.result.candidates.max_gap == 3
    assert 0 < row_of(found, "link", 4, 1)["probability"] < 1
    short = score_tracks(table_of(skipped), small_masks(), max_gap=1, progress=False)
    row = row_of(short, "link", 4, 1)
    assert (row["probability"], row["reason"], row["possible"]) == (0.0, NO_CANDIDATE, False)


def test_spots_are_cells_by_label_or_else_by_position() -> None:
    by_label, by_position = scored(LINKS), scored(LINKS, label=None)
    assert (by_label.match.how, by_position.match.how) == ("labels", "positions")
    np.testing.assert_array_equal(by_label.match.cell, by_position.match.cell)
    classes = np.arange(15) + 1  # numbers that are in some masks, but of other cells
    assert scored(LINKS, label=classes).match.how == "positions"


def test_a_spot_outside_of_all_masks_is_counted_and_has_no_probability() -> None:
    coords = as_spots()[["y", "x"]].to_numpy().copy()
    coords[-1] = (1.0, 60.0)
    found = scored(LINKS, label=None, coords=coords)
    assert (found.match.n_outside, found.match.n_without_spot) == (1, 1)
    last = found.decisions.iloc[-1]
    assert (last["kind"], last["reason"], last["possible"]) == ("link", NO_CELL, False)
    assert np.isnan(last["probability"])
    assert "1 spots lie in no cell of the masks" in found.summary()


def test_two_spots_in_one_cell_share_it_not() -> None:
    coords = as_spots()[["y", "x"]].to_numpy().copy()
    coords[-1] = coords[-2] + (0.0, 2.0)
    found = scored(LINKS, label=None, coords=coords)
    assert found.match.n_shared == 1
    assert found.match.cell[-2] >= 0
    assert found.match.cell[-1] == -1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": None, "coords": as_spots()[["y", "x"]].to_numpy() * 0.3}, "--pixel-size"),
        ({"label": None, "coords": as_spots()[["y", "x"]].to_numpy() * 0.3, "unit": "micron"}, "in micron"),
        ({"label": np.arange(15) + 50, "coords": None}, "15 of 15 labels"),
        ({"label": None, "coords": np.ones((15, 3))}, "have 3 dimensions but the masks 2"),
    ],
)
def test_masks_of_another_movie_are_refused(columns: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        scored(LINKS, **columns)


def test_tables_given_one_after_the_other_are_told_how() -> None:
    tables = [pd.DataFrame({"frame": [0, 1]}), pd.DataFrame({"parent_track_id": [0]})]
    with pytest.raises(InputError, match=r"score_tracks\(\(track_df, split_df, merge_df\), masks\)"):
        score_tracks(*tables, progress=False)


def test_without_masks_spots_are_points(tmp_path: Path) -> None:
    found = score_tracks(trackmate_xml(tmp_path / "t.xml"), progress=False)
    assert found.match.how == "points"
    assert found.result.movie is None
    assert len(found.decisions[found.decisions["kind"] == "link"]) == len(LINKS)
    with pytest.raises(InputError, match="give the masks"):
        score_tracks(table_of(LINKS, coords=None), progress=False)


def test_a_ctc_folder_brings_its_masks(tmp_path: Path) -> None:
    UncertainTracker("distance").track(None, small_masks(), progress=False).save(
        tmp_path / "out", progress=False
    )
    found = score_tracks(tmp_path / "out", progress=False)
    assert found.match.how == "labels"
    assert found.result.movie is not None
    with pytest.raises(InputError, match="out"):  # where the masks are that it was read from
        found.save(tmp_path / "out", overwrite=True, progress=False)
    assert found.decisions["possible"].all()


def test_the_folder_is_that_of_track_with_doubts(tmp_path: Path) -> None:
    far = (LINKS - {(4, 1, 5, 1)}) | {(4, 3, 5, 1)}  # a link that is no candidate is saved as well
    near = DistanceTracker(search_range=4, scale=1, reach=1.0)
    found = score_tracks(table_of(far), small_masks(), tracker=near, progress=False)
    assert found.no_candidate.any()
    found.save(tmp_path / "out", progress=False)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"links.csv", "cells.csv", "res_track.txt", "tracks.geff", "doubts.png", "doubts.csv"} <= names
    doubts = pd.read_csv(tmp_path / "out" / "doubts.csv")
    assert len(doubts) == len(found.decisions)
    assert doubts["probability"].is_monotonic_increasing
    links, cells = (pd.read_csv(tmp_path / "out" / name) for name in ("links.csv", "cells.csv"))
    assert len(decisions_of(cells, links)) == int((cells["frame"] > 0).sum())  # what sample and fit take
    again = TrackingResult.load(tmp_path / "out")
    np.testing.assert_array_equal(again.selected, found.result.selected)
    with pytest.raises(InputError, match="not empty"):
        found.save(tmp_path / "out", progress=False)
    found.save(tmp_path / "out", overwrite=True, progress=False)


def test_errors_of_laptrack_are_among_its_most_doubtful_links() -> None:
    """HeLa at every fourth frame: of the most doubtful 5 % at least five times as many are wrong as of all."""
    laptrack = pytest.importorskip("laptrack")
    folder = data_folder() / "Fluo-N2DL-HeLa" / "01"
    if not folder.with_name("01_GT").is_dir():
        pytest.skip(f"{folder} is not there")
    movie = read_annotated(folder, 4, use_images=False, progress=False)
    cells = movie.detections
    spots = pd.DataFrame(
        {"frame": cells.frame, "label": cells.label, "y": cells.coords[:, 0], "x": cells.coords[:, 1]}
    )
    cutoff = (5 * typical_displacement(cells)) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # laptrack's own, of versions to come
        tracker = laptrack.LapTrack(cutoff=cutoff, splitting_cutoff=cutoff, gap_closing_cutoff=cutoff)
        tracked = tracker.predict_dataframe(spots, ["y", "x"], only_coordinate_cols=False)
    assert movie.movie is not None
    found = score_tracks(tracked, movie.movie.masks, progress=False)
    links = found.decisions[found.decisions["kind"] == "link"]
    ends = [
        cells.find(links[f"{end}frame"].to_numpy(int), links[name].to_numpy(int))
        for end, name in (("", "label"), ("mother_", "mother"))
    ]
    targets = movie.targets(found.result.candidates.max_gap)
    wrong = (targets.mother.numpy()[ends[0]] != ends[1])[targets.known.numpy()[ends[0]]]
    most_doubtful = wrong[: round(0.05 * len(wrong))]
    assert most_doubtful.mean() > 5 * wrong.mean()


@pytest.mark.parametrize("labels", [True, False])
def test_frames_that_count_from_1_are_said_where_they_all_find_a_cell(labels: bool) -> None:
    columns = ["frame", "label", "y", "x"] if labels else ["frame", "y", "x"]
    spots = as_spots()[columns].assign(particle=as_spots()["label"])
    late = spots[spots["frame"] < 5].assign(frame=lambda table: table["frame"] + 1)
    found = score_tracks(late, small_masks(), max_unmatched=1.0, progress=False)
    assert "say --first-frame 1" in found.summary()
    right = score_tracks(late, small_masks(), first_frame=1, progress=False)
    assert "--first-frame" not in right.summary()
    begun_late = score_tracks(spots[spots["frame"] > 0], small_masks(), progress=False)
    assert "--first-frame" not in begun_late.summary()


def test_a_scorer_without_any_candidate_gives_all_links_probability_0() -> None:
    far = TrackTable("mine", [0, 1], np.array([[0.0, 0.0], [0.0, 900.0]]), [0], [1])
    found = score_tracks(far, tracker=DistanceTracker(search_range=5.0), progress=False)
    assert found.decisions["probability"].tolist()[0] == 0


def test_times_in_place_of_frames_are_refused() -> None:
    spots = as_spots()[["frame", "y", "x"]].assign(particle=as_spots()["label"])
    with pytest.raises(InputError, match="frames are numbered in steps of 30"):
        score_tracks(spots.assign(frame=spots["frame"] * 30), progress=False)
