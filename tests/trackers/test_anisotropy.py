"""Trackers where planes lie farther apart than pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.balls import APART, VOXEL, annotated_balls
from tests.support.transformer import small_transformer
from torchtrack_uq import (
    ActivityTracker,
    Detections,
    DistanceTracker,
    InputError,
    OverlapTracker,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.datasets import AnnotatedMovie, read_points_movie
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers import Tracker
from torchtrack_uq.trackers.neighbours import spacing, typical_displacements
from torchtrack_uq.trackers.trackastra.tokens import as_model_sees_it
from torchtrack_uq.training.window import Window
from torchtrack_uq.truth import judge


def in_planes(cells: Detections, apart: float = APART, known: bool = True) -> Detections:
    """The same cells as a microscope has them whose planes are so many pixels apart."""
    coords = cells.coords / np.float32([apart, 1, 1])
    return replace(cells, coords=coords, voxel_size=(apart, 1.0, 1.0) if known else None)


def accuracy(tracker: Tracker, movie: AnnotatedMovie) -> float:
    graph = tracker.candidates(movie.detections, movie.movie, progress=False)
    found = UncertaintyLayer("SM")(graph).to("cpu")
    return float(summarise([judge(found, movie.targets(getattr(tracker, "max_gap", 1)))])["accuracy"])


@pytest.mark.parametrize("max_gap", [1, 2])
def test_planes_that_are_said_to_lie_apart_change_no_score(max_gap: int) -> None:
    rng = np.random.default_rng(0)
    cells = Detections.from_points(np.repeat(np.arange(5), 40), rng.uniform(0, 80, (200, 3)))
    planes = in_planes(cells, 4)
    assert spacing(planes) == pytest.approx(spacing(cells))
    np.testing.assert_allclose(
        typical_displacements(planes, max_gap), typical_displacements(cells, max_gap), rtol=1e-5
    )
    expected, found = (DistanceTracker(max_gap=max_gap).candidates(each) for each in (cells, planes))
    assert torch.equal(found.mother, expected.mother)
    torch.testing.assert_close(found.score, expected.score, rtol=1e-4, atol=1e-4)


TRACKERS = [
    DistanceTracker(),
    DistanceTracker(max_gap=2),
    DistanceTracker(search_range="4um"),
    OverlapTracker(),
    OverlapTracker(max_gap=2),
    ActivityTracker(contrast=None, k=10.0),
]


@pytest.mark.parametrize("tracker", TRACKERS, ids=lambda tracker: f"{tracker.name} {tracker.max_gap}")
def test_a_movie_of_balls_in_thick_planes_is_tracked(tracker: Tracker) -> None:
    assert accuracy(tracker, annotated_balls()) >= 0.98


def test_who_takes_planes_for_pixels_links_balls_to_those_above_them() -> None:
    known, unknown = (accuracy(DistanceTracker(), annotated_balls(voxel)) for voxel in (VOXEL, None))
    assert known > unknown + 0.01


def test_overlaps_find_the_nearest_others_in_space() -> None:
    place = np.array([[2.0, 10, 10], [3.0, 10, 10], [2.0, 13, 10]])
    cells = Detections.from_points(np.array([0, 0, 1]), place[[1, 2, 0]], voxel_size=(5.0, 1.0, 1.0))
    from torchtrack_uq.trackers.neighbours import neighbour_links

    assert neighbour_links(cells, np.inf, 1)[0].tolist() == [1]  # 3 pixels away, not a plane
    assert neighbour_links(replace(cells, voxel_size=None), np.inf, 1)[0].tolist() == [0]


@pytest.mark.parametrize("tracker", ["distance", "overlap", "activity"])
@pytest.mark.parametrize("method", ["auto", "FP+A"])
def test_results_have_micrometres_and_seconds(tracker: str, method: str) -> None:
    movie = annotated_balls(interval=30.0).movie
    result = UncertainTracker(tracker, method=method).track_movie(movie, progress=False)
    cells = result.cells
    for axis, edge in zip("zyx", VOXEL, strict=True):
        np.testing.assert_allclose(cells[f"{axis}_um"], cells[axis] * edge, rtol=1e-6)
    assert (cells["time_s"] == 30.0 * cells["frame"]).all()
    assert "voxels of 2 x 0.4 x 0.4 µm are no cubes" in result.summary()


def test_who_knows_no_scale_gets_no_micrometres() -> None:
    result = UncertainTracker("distance").track_movie(annotated_balls(None).movie, progress=False)
    assert not {"z_um", "y_um", "x_um", "time_s"} & set(result.cells)
    assert "voxels" not in result.summary()


def test_a_search_range_in_micrometres_is_one_in_pixels_of_x() -> None:
    cells = annotated_balls().detections
    expected, found = (DistanceTracker(search_range=r).candidates(cells) for r in (10.0, "4um"))
    assert torch.equal(found.score, expected.score)
    with pytest.raises(InputError, match="nobody knows how large a voxel is"):
        DistanceTracker(search_range="4um").candidates(annotated_balls(None).detections)
    for bad in ("4 px", "-4um", "0um"):
        with pytest.raises(InputError):
            DistanceTracker(search_range=bad)


class TestTransformer:
    """Trackastra's models get what Trackastra itself would give them."""

    def test_tokens_are_those_of_trackastra(self) -> None:
        from torchtrack_uq.trackers.trackastra.folder import import_trackastra

        import_trackastra()
        from trackastra.data import WRFeatures, get_features

        movie = annotated_balls()
        masks = np.stack(list(movie.movie.masks)).astype(np.int32)
        expected = WRFeatures.concat(
            get_features(
                masks, np.zeros(masks.shape, np.float32), "wrfeat", ndim=3, progbar_class=lambda x, **_: x
            )
        )
        seen = as_model_sees_it(replace(movie.detections, has_images=False), 3, 12)
        np.testing.assert_allclose(seen.coords, expected.coords, rtol=1e-6)
        for name in ("equivalent_diameter_area", "inertia_tensor", "border_dist"):
            np.testing.assert_allclose(seen.features[name], expected.features[name], rtol=2e-4, atol=2e-4)

    def test_windows_to_train_on_are_the_same(self) -> None:
        known, unknown = (Window.of_movie(annotated_balls(voxel)) for voxel in (VOXEL, None))
        assert (known.coords == unknown.coords).all()
        np.testing.assert_allclose(known.features, unknown.features, rtol=2e-4, atol=2e-4)

    def test_a_plane_of_oblong_pixels_can_be_shown_to_a_3d_model(self) -> None:
        cells = Detections.from_points(np.array([0, 1]), np.ones((2, 2)), voxel_size=(0.4, 0.2), interval=1.0)
        seen = as_model_sees_it(cells, 3, 0)
        assert (seen.ndim, seen.voxel_size, seen.coords[0].tolist()) == (3, None, [0, 1, 1])
        square = replace(cells, voxel_size=(0.2, 0.2))
        assert as_model_sees_it(square, 3, 0).ndim == 3

    def test_a_2d_model_refuses_3d_and_names_what_works(self) -> None:
        from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker

        with pytest.raises(InputError, match=r"--model small_3d.*--tracker distance or overlap"):
            TrackastraTracker(small_transformer()).candidates(annotated_balls().detections)


def test_an_embryo_in_planes_is_tracked_as_well_as_the_isotropic_one(data_folder: Path) -> None:
    if not (data_folder / "ascidian-Pm04").is_dir():
        pytest.skip("ascidian-Pm04 is not there")
    movie = read_points_movie(data_folder / "ascidian-Pm04", stride=2)
    found = {
        name: accuracy(DistanceTracker(), replace(movie, detections=cells))
        for name, cells in {
            "isotropic": movie.detections,
            "known": in_planes(movie.detections),
            "unknown": in_planes(movie.detections, known=False),
        }.items()
    }
    assert found["known"] >= found["isotropic"] - 1e-6
    assert found["known"] > found["unknown"] + 0.01
