"""A deleted cell, an empty frame, a merged pair: high on the review list, with the right reason."""

from pathlib import Path

import geff
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from ctc_metrics.scripts.validate import validate_sequence

from torchtrack_uq import Detections, Movie, TrackingResult, UncertainTracker
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.layers import EventModel, UncertaintyLayer
from torchtrack_uq.movies.findings import MovieWarning
from torchtrack_uq.results.doubts import far_inside
from torchtrack_uq.results.in_words import segmentation_sentence

LOST = 4
"""The frame in which something is wrong."""
Masks = np.ndarray


def grid_of_cells(n_frames: int = 9) -> Masks:
    """25 discs that drift and jitter, none near another; two touch in every frame."""
    rng = np.random.default_rng(1)
    masks = np.zeros((n_frames, 260, 260), np.uint16)
    y, x = np.mgrid[:260, :260]
    places = [(40 + 42 * i, 40 + 42 * j) for i in range(5) for j in range(5)]
    places[12] = (124, 101)  # 12 and 11 side by side
    for t in range(n_frames):
        for k, (cy, cx) in enumerate(places, start=1):
            dy, dx = rng.normal(0, 0.8, 2) if k not in (12, 13) else (0.0, 0.0)
            masks[t][(y - cy - dy) ** 2 + (x - cx - dx) ** 2 <= 81] = k
    return masks


def track(masks: Masks, max_gap: int = 2) -> TrackingResult:
    return UncertainTracker("distance", max_gap=max_gap).track(None, masks, progress=False)


@pytest.fixture(scope="module", params=["small", "real"])
def masks(request: pytest.FixtureRequest, hela: Movie) -> Masks:
    return grid_of_cells() if request.param == "small" else np.stack([hela.read_mask(t) for t in range(9)])


def plain_tracks(masks: Masks) -> list[tuple[int, int, int]]:
    """Labels before, in and after `LOST` of cells far inside that are tracked there without doubt."""
    result = track(masks)
    cells, mother = result.detections, result.mother
    n_daughters = np.bincount(mother[mother >= 0], minlength=len(cells))
    inside = far_inside(cells, masks.shape[1:])
    found = []
    for last in np.flatnonzero((cells.frame == LOST + 1) & inside & (result.doubts.doubt < 0.01)):
        lost = mother[last]
        first = mother[lost]
        if first >= 0 and cells.frame[first] == LOST - 1 and n_daughters[lost] == n_daughters[first] == 1:
            found.append(tuple(int(cells.label[i]) for i in (first, lost, last)))
    return found


def rank_of(result: TrackingResult, frame: int, label: int) -> tuple[int, str]:
    review = result.review()
    [row] = np.flatnonzero((review["frame"] == frame) & (review["label"] == label))
    return int(row), str(review["reason"][row])


class TestDeletedCell:
    def test_her_daughter_is_high_on_the_list_as_missed_before(self, masks: Masks) -> None:
        tracks = plain_tracks(masks)
        assert len(tracks) >= 10
        n_right = 0
        for _, lost, last in tracks[:: max(len(tracks) // 5, 1)][:5]:
            without = masks.copy()
            without[LOST][without[LOST] == lost] = 0
            result = track(without)
            rank, reason = rank_of(result, LOST + 1, last)
            n_right += rank < 25 and reason == "missed before"
            cell = result.detections.find(LOST + 1, last)
            assert result.detections.frame[result.mother[cell]] == LOST - 1
            assert result.cells["p_missed"][cell] > 0.9
        assert n_right == 5

    def test_without_links_over_gaps_she_appeared_inside_or_is_in_doubt(self, masks: Masks) -> None:
        _, lost, last = plain_tracks(masks)[0]
        without = masks.copy()
        without[LOST][without[LOST] == lost] = 0
        result = track(without, max_gap=1)
        rank, reason = rank_of(result, LOST + 1, last)
        assert rank < len(result.review()) / 10
        # where another cell is near, she may be its second daughter instead
        assert reason in ("appeared inside", "two mothers alike", "mother or none")


class TestEmptyFrame:
    def test_the_cells_after_it_are_missed_before_and_linked(self, masks: Masks) -> None:
        empty = masks.copy()
        empty[LOST] = 0
        with pytest.warns(MovieWarning, match=f"there is no cell in frame {LOST} of"):
            result = track(empty)
        after = result.detections.frame == LOST + 1
        assert (result.mother[after] >= 0).mean() > 0.9
        review = result.review(int(after.sum()))
        assert (review["frame"] == LOST + 1).mean() > 0.9
        reasons = result.doubts.reason[after]
        assert (reasons == "missed before").mean() > 0.9
        assert f"most in frames {LOST + 1} (" in result.summary()


class TestMergedPair:
    def test_it_is_high_on_the_list_as_merged(self, masks: Masks) -> None:
        wrong = masks.copy()
        one, other = touching_pair(masks)
        wrong[LOST][wrong[LOST] == other] = one
        rank, reason = rank_of(track(wrong), LOST, one)
        assert reason == "merged"
        assert rank < 25


def touching_pair(masks: Masks) -> tuple[int, int]:
    """Two cells of a frame that touch, both tracked without doubt; those whose centroids are nearest."""
    labels = [lost for _, lost, _ in plain_tracks(masks)]
    cells = Detections.from_movie(Movie.open(None, masks), progress=False)
    places = {label: cells.coords[cells.find(LOST, label)] for label in labels}
    pairs = [(a, b) for a in labels for b in labels if a < b]
    return min(pairs, key=lambda pair: float(np.linalg.norm(places[pair[0]] - places[pair[1]])))


@pytest.fixture(scope="module")
def result() -> TrackingResult:
    without = grid_of_cells()
    without[LOST][without[LOST] == 7] = 0
    without[LOST + 2 :][without[LOST + 2 :] == 9] = 0
    return track(without)


@pytest.fixture(scope="module")
def folder(result: TrackingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result.save(tmp_path_factory.mktemp("gaps") / "out", progress=False)


class TestEventModel:
    """What the border does to cells is the model's to say, where there is one."""

    def test_cells_appear_and_end_inside_with_what_the_border_leaves(self) -> None:
        model = EventModel(appear=2.0, disappear=-8.0, appear_at_border=3.0, disappear_at_border=2.0)
        tracker = UncertainTracker("distance", method=UncertaintyLayer("auto", events=model), max_gap=2)
        result = tracker.track(None, grid_of_cells(), progress=False)
        share = {name: s.detach().numpy() for name, s in model.border_share(result.candidates).items()}
        cells, part = result.cells, result.doubts.part
        false = np.nan_to_num(part["false"])
        appeared = np.clip(cells["p_appear"] - false, 0, 1) * (1 - share["appear"])
        ended = np.clip(cells["p_disappear"] - false, 0, 1) * (1 - share["disappear"])
        np.testing.assert_allclose(part["appeared"], appeared, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(part["ended"], ended, rtol=1e-4, atol=1e-6)
        linked = (result.mother >= 0) & (cells["frame"] > 0)
        np.testing.assert_allclose(
            part["or_none"][linked], (cells["p_appear"] * share["appear"])[linked], rtol=1e-4, atol=1e-6
        )
        assert np.ptp(share["appear"]) > 0

    def test_without_one_a_cell_is_inside_or_it_is_not(self) -> None:
        result = track(grid_of_cells()[:, 35:, 35:])
        inside = far_inside(result.detections, result.movie.frame_shape)
        assert 0 < inside.mean() < 1
        assert np.nanmax(result.doubts.part["appeared"][~inside]) == 0
        assert np.nanmax(result.doubts.part["ended"][~inside]) == 0
        linked = result.mother >= 0
        assert np.nanmax(result.doubts.part["or_none"][linked & inside]) == 0


class TestFiles:
    def test_tracks_end_at_gaps_and_their_heirs_are_read_back(
        self, result: TrackingResult, folder: Path
    ) -> None:
        assert validate_sequence(str(folder), threads=1)["Valid"] == 1
        lineage = Lineage.read(folder / "res_track.txt")
        masks = Movie.open(None, folder_of_masks(folder))
        cells = Detections.from_movie(masks, progress=False)
        np.testing.assert_array_equal(cells.coords, result.detections.coords[order_of(result)])
        gap = np.flatnonzero(result.detections.frame - result.detections.frame[result.mother] == 2)
        gap = gap[result.mother[gap] >= 0]
        assert len(gap) == 1
        track, frame = result.tracklets.track, result.detections.frame
        before = lineage.ancestor(track[gap], frame[gap] - 2)
        assert before.tolist() == track[result.mother[gap]].tolist()
        assert lineage.parent[lineage.rows_of(track[gap])].tolist() == before.tolist()

    def test_geff_edges_span_frames_and_tracklets_go_on(self, result: TrackingResult, folder: Path) -> None:
        geff.validate_structure(folder / "tracks.geff")
        graph, metadata = geff.read(folder / "tracks.geff")
        assert set(graph.edges) == set(result.graph.edges)
        spans = [graph.nodes[j]["t"] - graph.nodes[i]["t"] for i, j in graph.edges]
        assert spans.count(2) == 1
        assert metadata.track_node_props == {"tracklet": "tracklet"}
        found = nx.get_node_attributes(graph, "tracklet")
        valid, errors = geff.validate.tracks.validate_tracklets(
            np.array(list(graph.nodes)),
            np.array(list(graph.edges)),
            np.array([found[i] for i in graph.nodes]),
        )
        assert valid, errors

    def test_tables_say_where_mothers_are_and_what_is_wrong(
        self, result: TrackingResult, folder: Path
    ) -> None:
        links, cells = pd.read_csv(folder / "links.csv"), pd.read_csv(folder / "cells.csv")
        assert links["mother_frame"].isna().equals(links["mother"] == 0)
        linked = links.dropna(subset="mother_frame")
        assert set(linked["frame"] - linked["mother_frame"]) == {1, 2}
        chosen = links.query("selected and daughter == 7 and frame == @LOST + 1")
        assert chosen["mother_frame"].item() == LOST - 1
        assert cells["p_missed"].isna().equals(cells["frame"] < 2)
        assert cells.query("frame == @LOST + 1 and label == 7")["p_missed"].item() > 0.9
        known = cells[["p_missed", "p_false", "p_merged", "p_split"]].stack().dropna()
        assert known.between(0, 1).all()

    def test_a_cell_that_is_seen_no_more_ended_inside(self, result: TrackingResult) -> None:
        rank, reason = rank_of(result, LOST + 1, 9)
        assert rank < 5
        assert reason == "ended inside"

    def test_an_end_that_is_certain_comes_after_what_is_probably_wrong_and_before_what_is_not(
        self, result: TrackingResult
    ) -> None:
        ended = result.detections.find(LOST + 1, 9)
        missed = result.detections.find(LOST + 1, 7)
        doubt = result.doubts.doubt
        assert result.doubts.part["ended"][ended] > 0.9  # what is probable is said as it is
        assert 0.45 < doubt[ended] <= 0.5 < 0.9 < doubt[missed]
        others = np.setdiff1d(np.arange(len(doubt)), [ended, missed])
        assert (doubt[others] < doubt[ended]).mean() > 0.9

    def test_expected_numbers_are_sums_of_probabilities(self, result: TrackingResult) -> None:
        expected = result.doubts.expected()
        for kind, n in expected.items():
            assert n == pytest.approx(np.nansum(result.cells[f"p_{kind}"]), rel=1e-6)
        sentence = segmentation_sentence(result.doubts, result.detections.frame)
        assert sentence is not None
        assert f"{expected['missed']:.1f} seen again after a miss" in sentence


def folder_of_masks(folder: Path) -> Masks:
    import tifffile

    return np.stack([tifffile.imread(file) for file in sorted(folder.glob("mask*.tif"))])


def order_of(result: TrackingResult) -> np.ndarray:
    """Cells in the order of frame and track."""
    return np.lexsort((result.tracklets.track, result.detections.frame))
