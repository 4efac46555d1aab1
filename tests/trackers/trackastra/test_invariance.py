"""Scores do not depend on where cells lie, in which order they come, nor on their size where a model says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.crews import Pickled
from tests.support.transformer import MODEL, small_transformer
from torchtrack_uq import CandidateGraph, Detections, InputError, Movie, TrackastraTracker
from torchtrack_uq.datasets import read_annotated
from torchtrack_uq.trackers.shared_out import SharedOut
from torchtrack_uq.trackers.trackastra import window_model
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.models import bundled_models, load_model
from torchtrack_uq.training.window import Window
from torchtrack_uq.utils.device import one_torch_thread


def scores(tracker: TrackastraTracker, cells: Detections) -> CandidateGraph:
    with torch.no_grad():
        return tracker.candidates(cells, progress=False)


def moved(cells: Detections, by: float) -> Detections:
    return replace(cells, coords=cells.coords + by, field_shape=None)


def assert_same_scores(found: CandidateGraph, wanted: CandidateGraph, atol: float) -> None:
    """Links of the same cells; of the sixteen that are kept of each daughter the last may be others."""
    lists = [
        {(i, j): s for i, j, s in zip(g.mother.tolist(), g.daughter.tolist(), g.score.tolist(), strict=True)}
        for g in (found, wanted)
    ]
    common = lists[0].keys() & lists[1].keys()
    assert len(common) > 0.98 * len(lists[1])
    assert max(abs(lists[0][link] - lists[1][link]) for link in common) < atol


def with_view(transformer: object, **described: object) -> object:
    return MODEL.Trackastra(transformer, {"features": "wrfeat", **described}, device="cpu")


@pytest.mark.parametrize("max_gap", [1, 2])
@pytest.mark.parametrize("by", [10_000.0, -3_333.25])
def test_bundled_models_score_a_moved_movie_alike(
    crop: tuple[Movie, Detections], by: float, max_gap: int
) -> None:
    cells = crop[1]
    for name in bundled_models():
        tracker = load_model(name, "cpu", max_gap=max_gap)
        if tracker.config["coord_dim"] == cells.ndim:
            assert_same_scores(scores(tracker, moved(cells, by)), scores(tracker, cells), atol=1e-3)


REAL = [
    ("Fluo-N2DL-HeLa/01", 20, 26), ("cell-migration/01", 0, 4), ("mouse-epidermis/01", 0, 4),
    ("Fluo-C2DL-MSC/01", 0, 8), ("ascidian-Pm04", 20, 24), ("celegans-20241009_JIM767_25_L5", 60, 64),
]  # fmt: skip


@pytest.mark.parametrize(("name", "first", "end"), REAL)
def test_real_movies_are_scored_alike_wherever_they_lie(
    data_folder: Path, name: str, first: int, end: int
) -> None:
    """The most crowded, the largest cells, points in space; far links too, and a stray cell far off."""
    if not (data_folder / name.split("/")[0]).exists():
        pytest.skip(f"{name} is not in {data_folder}")
    cells = read_annotated(data_folder / name, progress=False).frames(first, end).detections
    tracker = load_model(f"small_{cells.ndim}d", "cpu", max_gap=2)
    here = scores(tracker, cells)
    for by in (10_000.0, -12_345.678):
        assert_same_scores(scores(tracker, moved(cells, by)), here, atol=1e-3)
    strays = with_a_stray(cells, -20_000.0)
    there = scores(tracker, strays)
    ours = (there.mother < len(cells)) & (there.daughter < len(cells))
    assert ours.all()  # nobody is linked to it
    if tracker.view.usual.factor(strays) == tracker.view.usual.factor(cells):
        assert_same_scores(there, here, atol=0.05)  # rounding takes a cell or two across the reach


def with_a_stray(cells: Detections, at: float) -> Detections:
    """One more cell in the last frame, in size like the median one, so that the movie keeps its scale."""
    typical = {name: np.median(column, axis=0, keepdims=True) for name, column in cells.features.items()}
    return replace(
        cells,
        frame=np.append(cells.frame, cells.n_frames - 1),
        label=np.append(cells.label, cells.label.max() + 1),
        coords=np.concatenate([cells.coords, np.full((1, cells.ndim), at)]),
        features={
            name: np.concatenate([column, typical[name]]).astype(np.float32)
            for name, column in cells.features.items()
        },
        row=np.arange(len(cells) + 1),
        field_shape=None,
    )


def test_tiles_of_near_cells_score_a_moved_movie_alike(
    crop: tuple[Movie, Detections], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_model, "LOCAL_FROM", 1)
    cells = crop[1]
    tracker = TrackastraTracker(small_transformer())
    tiled, there = scores(tracker, cells), scores(tracker, moved(cells, 10_000.0))
    assert tracker._model.is_local(cells.offsets, 2)
    assert_same_scores(there, tiled, atol=1e-3)


def test_frames_late_in_a_movie_look_as_early_ones(crop: tuple[Movie, Detections]) -> None:
    """Trackastra takes the number of a window's first frame off the places of its cells, too."""
    _, cells = crop
    late = replace(cells, frame=cells.frame + 300, n_frames=cells.n_frames + 300)
    tracker = TrackastraTracker(small_transformer())
    found = [tracker._tokens(one).batch([start], 3) for one, start in ((late, 301), (cells, 1))]
    for there, here in zip(*found, strict=True):
        assert torch.equal(there, here)


def test_absolute_places_are_there_for_who_wants_trackastras_own_scores(
    crop: tuple[Movie, Detections],
) -> None:
    _, cells = crop
    tracker = TrackastraTracker(small_transformer(), from_corner=False)
    here, there = scores(tracker, cells), scores(tracker, moved(cells, 500.0))
    assert (here.score - there.score).abs().max() > 0.01


def test_the_order_of_cells_changes_no_score(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    label = cells.label.max() + 1 - cells.label
    order = np.lexsort((label, cells.frame))
    turned = Detections(
        frame=cells.frame[order],
        label=label[order],
        coords=cells.coords[order],
        n_frames=cells.n_frames,
        features={name: column[order] for name, column in cells.features.items()},
        has_images=cells.has_images,
    )
    tracker = TrackastraTracker(small_transformer())
    wanted, found = scores(tracker, cells), scores(tracker, turned)
    back = torch.from_numpy(order)
    renamed = {
        (int(back[i]), int(back[j])): s
        for i, j, s in zip(found.mother.tolist(), found.daughter.tolist(), found.score.tolist(), strict=True)
    }
    same = [
        abs(renamed[i, j] - s)
        for i, j, s in zip(
            wanted.mother.tolist(), wanted.daughter.tolist(), wanted.score.tolist(), strict=True
        )
        if (i, j) in renamed
    ]
    assert len(same) > 0.98 * len(wanted.score)
    assert max(same) < 1e-3


@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_cells_of_any_size_are_scored_alike_by_a_model_with_a_usual_size(
    crop: tuple[Movie, Detections], factor: float
) -> None:
    _, cells = crop
    features = dict(cells.features)
    features["equivalent_diameter_area"] = features["equivalent_diameter_area"] * np.float32(factor)
    features["inertia_tensor"] = features["inertia_tensor"] * np.float32(factor**2)
    larger = replace(cells, coords=cells.coords * np.float32(factor), features=features, field_shape=None)
    tracker = TrackastraTracker(with_view(small_transformer(), usual_diameter=24.0, usual_spacing=30.0))
    assert_same_scores(scores(tracker, larger), scores(tracker, cells), atol=1e-4)
    as_it_is = TrackastraTracker(small_transformer())
    links = [scores(as_it_is, one) for one in (larger, cells)]
    assert len(links[0].score) != len(links[1].score) or not torch.allclose(links[0].score, links[1].score)


class TestPoints:
    @staticmethod
    def of_points() -> TrackastraTracker:
        described = {"usual_diameter": 24.0, "usual_spacing": 30.0, "takes_points": True}
        return TrackastraTracker(with_view(small_transformer(coord_dim=3, feat_dim=12), **described))

    def test_a_model_that_takes_points_scores_them_at_any_scale(self) -> None:
        rng = np.random.default_rng(0)
        place = rng.uniform(0, 100, (60, 3))
        frame = np.repeat(np.arange(3), 20)
        tracker = self.of_points()
        here = scores(tracker, Detections.from_points(frame, place))
        far = scores(tracker, Detections.from_points(frame, place * 0.01 + 55))
        assert_same_scores(far, here, atol=2e-2)

    def test_depth_in_coarser_steps_is_depth(self) -> None:
        rng = np.random.default_rng(1)
        place = rng.uniform(0, 100, (60, 3))
        frame = np.repeat(np.arange(3), 20)
        tracker = self.of_points()
        planes = Detections.from_points(frame, place / [5.0, 1, 1], voxel_size=(5.0, 1.0, 1.0))
        here = scores(tracker, Detections.from_points(frame, place))
        assert_same_scores(scores(tracker, planes), here, atol=1e-2)

    def test_others_refuse_them(self) -> None:
        cells = Detections.from_points(np.arange(2), np.zeros((2, 2)))
        model = with_view(small_transformer(), usual_diameter=24.0, usual_spacing=30.0)
        with pytest.raises(InputError, match="the model looks at cell features, but these detections lack"):
            scores(TrackastraTracker(model), cells)

    def test_one_cell_a_frame_is_no_reason_to_fail(self) -> None:
        cells = Detections.from_points(np.arange(4), np.zeros((4, 3)))
        assert torch.isfinite(scores(self.of_points(), cells).score).all()


@pytest.mark.parametrize("size", [0, -3.0, "large", True, float("nan"), float("inf"), None])
def test_a_usual_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(InputError, match=r"usual_diameter is .*expected a positive number of pixels"):
        TrackastraTracker(with_view(small_transformer(), usual_diameter=size, usual_spacing=30.0))


def test_a_transformer_taken_out_of_its_wrapper_still_knows_how_it_sees_movies(
    crop: tuple[Movie, Detections], tmp_path: Path
) -> None:
    _, cells = crop
    described = {"usual_diameter": 24.0, "usual_spacing": 30.0, "takes_points": False, "delta_cutoff": 2}
    save_trackastra_folder(small_transformer(), tmp_path, described)
    tracker = TrackastraTracker.from_folder(tmp_path)
    bare = TrackastraTracker(tracker.transformer)
    wrapped = TrackastraTracker(MODEL.Trackastra(tracker.transformer, {}, device="cpu"))
    for other in (bare, wrapped):
        assert (other.view, other.delta_cutoff) == (tracker.view, 2)
        assert torch.equal(scores(other, cells).score, scores(tracker, cells).score)


class TestCommonMotion:
    """A model whose windows are without the motion that neighbours have in common."""

    @staticmethod
    def a_tracker(**options: int) -> TrackastraTracker:
        model = with_view(small_transformer(), without_common_motion=True, delta_cutoff=2)
        return TrackastraTracker(model, **options)

    def test_windows_are_those_of_training(self, crop: tuple[Movie, Detections]) -> None:
        _, cells = crop
        points, _, _ = self.a_tracker()._tokens(cells).batch([2], 3)
        where = slice(int(cells.offsets[2]), int(cells.offsets[5]))
        features = np.concatenate(list(cells.features.values()), axis=-1)[where]
        nobody = np.full(len(features), -1, dtype=np.int64)
        window = Window(
            cells.frame[where] - 2, cells.coords[where].astype(np.float32), features, nobody, nobody > 0
        )
        still = window.without_common_motion().coords
        np.testing.assert_allclose(points[0, :, 1:] - points[0, :1, 1:], still - still[:1], atol=1e-3)

    def test_a_drifting_movie_looks_as_if_it_stood_still(self, crop: tuple[Movie, Detections]) -> None:
        _, cells = crop
        tracker = self.a_tracker()
        drift = cells.frame[:, None] * np.array([4.0, -3.0], np.float32)
        drifting = replace(cells, coords=cells.coords + drift, field_shape=None)
        here, there = (tracker._tokens(one).batch([1], 3)[0][0, :, 1:] for one in (cells, drifting))
        apart = (here - there - (here - there).median(dim=0).values).norm(dim=1)
        moved = np.linalg.norm(drift[cells.frame == 2].max(axis=0))
        assert float(apart.median()) < 0.25 * moved

    @pytest.mark.parametrize("max_gap", [1, 2, 3])
    def test_workers_score_the_same_bits(self, crop: tuple[Movie, Detections], max_gap: int) -> None:
        _, cells = crop
        tracker = self.a_tracker(max_gap=max_gap)
        with torch.no_grad(), one_torch_thread():
            shared = SharedOut(tracker, Pickled(2)).candidates(cells, None, progress=False)
            alone = tracker.candidates(cells, progress=False)
        assert torch.equal(shared.score, alone.score)

    def test_moved_by_ten_thousand_pixels(self, crop: tuple[Movie, Detections]) -> None:
        cells = crop[1]
        tracker = self.a_tracker(max_gap=2)
        assert_same_scores(scores(tracker, moved(cells, 10_000.0)), scores(tracker, cells), atol=1e-3)

    def test_links_are_as_long_as_cells_really_moved(self, crop: tuple[Movie, Detections]) -> None:
        _, cells = crop
        graph = scores(self.a_tracker(), cells)
        distance = (graph.coords[graph.mother] - graph.coords[graph.daughter]).norm(dim=1)
        assert float(distance.max()) <= 60
        assert torch.equal(graph.coords, torch.from_numpy(cells.coords).float())

    def test_it_is_kept_in_the_folder(self, tmp_path: Path) -> None:
        self.a_tracker().save(tmp_path)
        assert TrackastraTracker.from_folder(tmp_path).view.without_common_motion
