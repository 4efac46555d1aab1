"""A movie that is tracked reel by reel ends as one that is held as a whole."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.walkers import named, walkers
from torchtrack_uq import Detections, DistanceTracker, TrackingResult, UncertainTracker
from torchtrack_uq.assignment import automatic, piece
from torchtrack_uq.assignment.piece import CannotBeCutError
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.some_frames import some_frames
from torchtrack_uq.reels import long_movie as track_reels_module
from torchtrack_uq.reels import one_reel
from torchtrack_uq.reels.cutting import MARGIN, OF_MARGIN, reels_of
from torchtrack_uq.reels.long_movie import track_reels

TABLES = ("links.csv", "cells.csv", "tracks.csv", "review.csv", "res_track.txt")


def tracker(**how) -> UncertainTracker:
    return UncertainTracker(DistanceTracker(max_gap=2, **how))


def both(cells: Detections, tmp_path: Path, made=tracker, at_once=1000, movie=None, **how):
    """The whole, and reels, saved and loaded again."""
    whole = made().track_detections(cells, movie, progress=False).with_acceptance(how.get("acceptance"))
    (work := tmp_path / "work").mkdir()
    reeled = track_reels(made(), cells, work, movie, cells_at_once=at_once, progress=False, **how)
    assert reeled.n_reels > 1
    reeled.save(tmp_path / "reels", progress=False)
    whole.save(tmp_path / "whole", progress=False)
    return whole, reeled, TrackingResult.load(tmp_path / "reels")


def assert_as_the_whole(whole: TrackingResult, reeled: TrackingResult, loaded: TrackingResult) -> None:
    np.testing.assert_array_equal(reeled.mother, whole.mother)
    np.testing.assert_array_equal(loaded.selected, whole.selected)
    for name in ("mother", "daughter", "score", "appear", "disappear", "divide", "frame", "label"):
        assert torch.equal(getattr(loaded.candidates, name), getattr(whole.candidates, name)), name
    # each is within its own bound of the truth
    first, second = loaded.probabilities, whole.probabilities
    assert first.cell_error is not None
    assert second.cell_error is not None
    bound = (first.cell_error + second.cell_error).numpy() + 1e-6
    away = np.abs(first.null.numpy() - second.null.numpy())
    np.maximum.at(away, loaded.candidates.daughter.numpy(), np.abs(first.link.numpy() - second.link.numpy()))
    assert (away <= bound).all()
    assert np.quantile(away, 0.999) < 5e-3
    proved = [(p.cell_error <= 1e-3).float().mean() for p in (first, second)]
    assert proved[0] > proved[1] - 0.01
    doubts = np.abs(loaded.doubts.doubt - whole.doubts.doubt)
    assert np.quantile(doubts, 0.999) < 0.01
    assert doubts.max() < 0.05
    assert first.log_z is not None
    assert second.log_z is not None
    assert first.method == second.method == "auto"


def assert_same_tables(tmp_path: Path) -> None:
    for name in TABLES[:4]:
        one, other = (
            pd.read_csv(tmp_path / folder / name, keep_default_na=False) for folder in ("reels", "whole")
        )
        assert list(one.columns) == list(other.columns), name
        assert len(one) == len(other) or name == "review.csv"
        if name in ("links.csv", "cells.csv"):
            for column in {"frame", "mother", "daughter", "label", "track", "selected", "accepted"} & set(
                one.columns
            ):
                assert (one[column].astype(str) == other[column].astype(str)).all(), column
        if name == "tracks.csv":
            for column in ("track", "begin", "end", "parent", "n_cells"):
                assert (one[column] == other[column]).all(), column
    texts = [(tmp_path / folder / "res_track.txt").read_text() for folder in ("reels", "whole")]
    assert texts[0] == texts[1]
    there = [sorted(file.name for file in (tmp_path / folder).iterdir()) for folder in ("reels", "whole")]
    assert there[0] == there[1]


@pytest.fixture(autouse=True)
def few_cells_are_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece, "lose_by_cuts", lambda *_: False)
    monkeypatch.setattr(automatic, "FEW", 0)  # the whole is summed as a large one is


@pytest.mark.parametrize("step", [2.0, 6.0])
def test_reels_find_what_is_found_in_one_go(tmp_path: Path, step: float) -> None:
    cells = walkers(110, 40, seed=3, step=step)
    whole, reeled, loaded = both(cells, tmp_path)
    assert_as_the_whole(whole, reeled, loaded)
    assert_same_tables(tmp_path)
    assert "tracked in 3 reels of about 37 frames" in reeled.summary()
    rest = reeled.summary().split("\n")
    assert rest[0] == whole.summary().split("\n")[0]


def test_the_prior_of_reels_is_that_of_the_movie(tmp_path: Path) -> None:
    cells = walkers(400, 40, seed=1)  # of which a prior looks at three stretches
    whole, reeled, _ = both(cells, tmp_path, lambda: UncertainTracker("distance"), at_once=8000)
    assert whole.prior is not None
    assert (reeled.prior, reeled.temperature) == (whole.prior, whole.temperature)
    assert reeled.settings["events"] == whole.settings["events"]


@pytest.mark.parametrize("what", ["empty frames", "begins empty", "3D", "names", "field", "anisotropic"])
def test_reels_take_any_points(tmp_path: Path, what: str) -> None:
    if what == "empty frames":
        cells = walkers(110, 40, empty=(*range(30, 42), 70, 109))
    elif what == "begins empty":
        cells = walkers(110, 40, empty=tuple(range(45)))
    elif what == "3D":
        cells = walkers(100, 40, size=100.0, ndim=3)
    elif what == "names":
        cells = named(walkers(100, 40), 480, 2)
    elif what == "field":
        cells = walkers(100, 40, field_shape=(200, 200))
    else:
        cells = walkers(100, 40, size=120.0, ndim=3, voxel_size=(2.0, 0.5, 0.5), interval=90.0)
    whole, reeled, loaded = both(cells, tmp_path)
    assert_as_the_whole(whole, reeled, loaded)
    assert_same_tables(tmp_path)


def test_masks_are_tracked_in_reels_and_written(tmp_path: Path) -> None:
    cells = walkers(70, 12, size=60.0, step=1.0)
    masks = np.zeros((70, 64, 64), np.uint16)
    for t, label, (y, x) in zip(cells.frame, cells.label, cells.coords.round().astype(int), strict=True):
        masks[t, y : y + 3, x : x + 3] = label
    movie = Movie.open(None, masks)
    measured = Detections.from_movie(movie, progress=False)
    whole, reeled, loaded = both(measured, tmp_path, at_once=300, movie=movie)
    assert_as_the_whole(whole, reeled, loaded)
    assert_same_tables(tmp_path)
    for t in (0, 35, 69):
        one, other = ((tmp_path / folder / f"mask{t:03d}.tif").read_bytes() for folder in ("reels", "whole"))
        assert one == other


def test_what_is_accepted_is_marked(tmp_path: Path) -> None:
    promise = AcceptanceThreshold(0.01, 0.05, 0.9, True, 1000, 800, 2)
    whole, reeled, _ = both(walkers(80, 30), tmp_path, acceptance=promise)
    np.testing.assert_array_equal(reeled.accepted, whole.accepted)
    assert "accepted" in pd.read_csv(tmp_path / "reels" / "links.csv")
    assert_same_tables(tmp_path)


def test_probabilities_of_tracks_across_a_cut_are_those_of_the_posterior(tmp_path: Path) -> None:
    # two cells that may have changed places in any frame: whole tracks hang on all of it
    n = 80
    rng = np.random.default_rng(0)
    x = np.stack([np.zeros(n), np.full(n, 30.0)], 1)
    meet = np.arange(34, 46)  # where the cut is
    x[meet] = np.array([14.0, 16.0]) + rng.normal(0, 0.7, (len(meet), 2))
    others = rng.uniform(100, 400, (20, 1, 2)) + rng.normal(0, 0.5, (20, n, 2))
    coords = np.concatenate([np.stack([np.zeros((2, n)), x.T], -1), others])
    cells = Detections.from_points(np.tile(np.arange(n), 22), coords.reshape(-1, 2), sort=True)
    made = lambda: UncertainTracker(DistanceTracker(scale=2.0, search_range=10, max_gap=2), temperature=1.0)  # noqa: E731
    whole, reeled, _ = both(cells, tmp_path, made, at_once=900)
    cut = reels_of(cells.offsets, 2, 900)[1].first
    assert cut in meet
    one, other = reeled.tracks, whole.tracks
    crossing = (other["begin"] < cut) & (other["end"] >= cut)
    doubtful = crossing & (other["p_track"] < 0.95)
    assert doubtful.any()
    for name in ("p_track", "p_lineage", "expected_errors"):
        error = 5 * np.sqrt(0.25 / 1000) * np.maximum(1.0, other[name])
        assert (np.abs(one[name] - other[name]) <= error).all(), name


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.one_of(st.just(0), st.integers(0, 500)), min_size=1, max_size=400),
    st.integers(1, 4),
    st.integers(1, 3000),
)
def test_reels_share_out_the_frames_and_hold_their_margins(counts, max_gap, at_once) -> None:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    reels = reels_of(offsets, max_gap, at_once)
    n, margin = len(counts), MARGIN * max_gap
    assert [reel.first for reel in reels] == [0, *(reel.last for reel in reels[:-1])]
    assert reels[-1].last == n
    for reel in reels:
        assert reel.low == max(reel.first - margin, 0)
        assert reel.high == min(reel.last + margin, n)
        assert reel.begin == max(reel.low - max_gap, 0)
        assert reel.end == min(reel.high + max_gap, n)
        assert len(reels) == 1 or reel.last - reel.first >= OF_MARGIN * margin


@pytest.mark.parametrize("options", [{}, {"search_range": 12}, {"scale": 3.0}, {"max_candidates": 3}])
def test_some_frames_are_scored_as_in_the_movie(options: dict) -> None:
    cells = walkers(30, 20, seed=5)
    whole = DistanceTracker(max_gap=3, **options)
    graph, of_movie = whole.candidates(cells), whole.of_movie(cells)
    begin, end = 9, 21
    part = of_movie.candidates(some_frames(cells, begin, end))
    first, last = (int(cells.offsets[frame]) for frame in (begin, end))
    inside = (graph.mother >= first) & (graph.daughter < last)
    assert torch.equal(part.mother + first, graph.mother[inside])
    assert torch.equal(part.daughter + first, graph.daughter[inside])
    assert torch.equal(part.score, graph.score[inside])
    assert torch.equal(part.appear, graph.appear[first:last])


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: tracker(disappear=-np.inf), "must have a daughter"),
        (lambda: tracker(divide=3.0), "second daughters are likelier"),
        (lambda: tracker(without_common_motion=True), "has to see the whole movie"),
        (lambda: UncertainTracker(DistanceTracker(max_gap=2), "SM"), "method SM"),
        (lambda: UncertainTracker(DistanceTracker(max_gap=2), "exact"), "method exact"),
        (lambda: UncertainTracker(DistanceTracker(max_gap=1)), "need no reels"),
        (
            lambda: UncertainTracker(
                DistanceTracker(max_gap=2), UncertaintyLayer("auto", events=EventOffsets(disappear=30.0))
            ),
            None,
        ),
    ],
)
def test_what_cannot_be_cut_is_not(tmp_path: Path, made, why: str | None) -> None:
    cells = walkers(80, 30)
    if why is None:  # odd, but possible
        track_reels(made(), cells, tmp_path, cells_at_once=1000, progress=False)
        return
    with pytest.raises(CannotBeCutError, match=why):
        track_reels(made(), cells, tmp_path, cells_at_once=1000, progress=False)


def test_a_short_movie_is_not_cut(tmp_path: Path) -> None:
    with pytest.raises(CannotBeCutError, match="too short"):
        track_reels(tracker(), walkers(40, 50), tmp_path, cells_at_once=1000, progress=False)


def test_links_of_reels_are_not_in_memory(tmp_path: Path) -> None:
    found = track_reels(tracker(), walkers(80, 30), tmp_path, cells_at_once=1000, progress=False)
    with pytest.raises(InputError, match="on the disk"):
        found.links  # noqa: B018
    assert found.candidates.n_links < 2 * len(found.detections)


def test_a_folder_with_other_reels_is_refused(tmp_path: Path) -> None:
    cells = walkers(80, 30)
    found = track_reels(tracker(), cells, tmp_path, cells_at_once=1000, progress=False)
    again = track_reels(tracker(), cells, tmp_path, cells_at_once=1000, progress=False)
    np.testing.assert_array_equal(found.mother, again.mother)
    for other, made, at_once in (
        (walkers(80, 30, seed=1), tracker(), 1000),
        (cells, tracker(scale=2.0), 1000),
        (cells, UncertainTracker(DistanceTracker(max_gap=2), temperature=3.0), 1000),
    ):
        with pytest.raises(InputError, match="holds reels of another movie"):
            track_reels(made, other, tmp_path, cells_at_once=at_once, progress=False)


def test_a_result_whose_links_are_gone_says_so(tmp_path: Path) -> None:
    found = track_reels(tracker(), walkers(80, 30), _made(tmp_path / "w"), cells_at_once=1000, progress=False)
    found.save(tmp_path / "one", progress=False)
    found.save(tmp_path / "two", progress=False)
    assert (tmp_path / "one" / "links.csv").read_bytes() == (tmp_path / "two" / "links.csv").read_bytes()
    shutil.rmtree(tmp_path / "w")
    with pytest.raises(InputError, match="which is gone"):
        found.save(tmp_path / "three", progress=False)
    assert not (tmp_path / "three").exists()


def test_decisions_that_hang_on_the_cut_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = one_reel.decide

    def otherwise(graph, mother, undecided):
        selected = real(graph, mother, undecided)
        selected[(graph.daughter >= undecided - 20).numpy() & (graph.daughter < undecided).numpy()] = False
        return selected

    cells = walkers(110, 40, seed=3)
    agreed = track_reels(tracker(), cells, _made(tmp_path / "as"), cells_at_once=1000, progress=False)
    assert agreed.changed == 0
    assert "may not be the likeliest" not in agreed.summary()
    monkeypatch.setattr(one_reel, "decide", otherwise)
    found = track_reels(tracker(), cells, _made(tmp_path / "other"), cells_at_once=1000, progress=False)
    assert 20 <= found.changed <= 80
    assert f"{found.changed} decisions near the cuts" in found.summary()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_only_long_movies_are_cut_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = walkers(20, 10)
    assert not track_reels_module.is_long(cells, None)
    monkeypatch.setattr(track_reels_module, "LONG", 100)
    assert track_reels_module.is_long(cells, None)
    assert not track_reels_module.is_long(cells, 0)
