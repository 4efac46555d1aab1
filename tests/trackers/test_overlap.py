import numpy as np
import pytest
from laptrack.metric_utils import LabelOverlap

from torchtrack_uq import Detections, InputError, Movie, OverlapTracker
from torchtrack_uq.posterior import map_links
from torchtrack_uq.trackers.overlap import measure_overlaps


def test_costs_on_real_masks_are_those_of_laptrack(hela: Movie, hela_cells: Detections) -> None:
    n_frames = 4
    masks = np.stack([hela.read_mask(t) for t in range(n_frames)])
    movie = Movie.open(None, masks)
    cells = Detections.from_movie(movie, progress=False)
    overlaps = measure_overlaps(movie, cells, progress=False)
    reference = LabelOverlap(masks)
    columns = [
        reference.calc_overlap(cells.frame[i], cells.label[i], cells.frame[j], cells.label[j])
        for i, j in zip(overlaps.mother, overlaps.daughter, strict=True)
    ]
    shared, iou, ratio_1, ratio_2 = np.array(columns, dtype=float).T
    np.testing.assert_array_equal(overlaps.shared, shared)
    np.testing.assert_allclose(overlaps.iou, iou, atol=1e-12)
    for coefficients in [
        (1.0, 0.0, 0.0, 0.0, -1.0),
        (1.0, 0.0, -1.0, 0.0, 0.0),
        (0.5, 1e-3, -0.1, -0.2, -0.3),
    ]:
        c = coefficients
        expected = c[0] + c[1] * shared + c[2] * iou + c[3] * ratio_1 + c[4] * ratio_2
        tracker = OverlapTracker(coefficients, scale=1.0)
        np.testing.assert_allclose(tracker.cost(overlaps), expected, atol=1e-6)
        graph = OverlapTracker(coefficients, scale=1.0, n_apart=0).candidates(cells, movie, progress=False)
        np.testing.assert_array_equal(
            graph.mother, overlaps.mother[np.lexsort((overlaps.mother, overlaps.daughter))]
        )


def test_the_nearest_mothers_without_overlap_are_less_likely_than_none(
    hela: Movie, hela_cells: Detections
) -> None:
    graph = OverlapTracker().candidates(hela_cells, hela, progress=False)
    as_laptrack = OverlapTracker(n_apart=0).candidates(hela_cells, hela, progress=False)
    apart = graph.score < graph.appear[graph.daughter]
    assert int(apart.sum()) >= graph.n_links - as_laptrack.n_links > 0
    per_daughter = np.bincount(graph.daughter, minlength=len(hela_cells))
    assert per_daughter[hela_cells.frame > 0].min() >= 3
    links = map_links(graph)
    assert not links[apart.numpy()].any()
    assert links.sum() == map_links(as_laptrack).sum()
    assert (
        OverlapTracker(cutoff=1.5).candidates(hela_cells, hela, progress=False).n_links == as_laptrack.n_links
    )
    with pytest.raises(InputError, match="n_apart"):
        OverlapTracker(n_apart=-1)


def test_every_overlapping_pair_is_found_once() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 5, (3, 20, 20)).astype(np.uint8)
    movie = Movie.open(None, masks)
    cells = Detections.from_movie(movie, progress=False)
    overlaps = measure_overlaps(movie, cells, progress=False)
    found = {
        (int(cells.frame[i]), int(cells.label[i]), int(cells.label[j])): int(n)
        for i, j, n in zip(overlaps.mother, overlaps.daughter, overlaps.shared, strict=True)
    }
    expected = {
        (t, a, b): int(np.sum((masks[t] == a) & (masks[t + 1] == b)))
        for t in range(2)
        for a in range(1, 5)
        for b in range(1, 5)
    }
    assert found == {key: n for key, n in expected.items() if n}


def test_frames_without_cells_have_no_links(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    masks = blobs[1].copy()
    masks[2] = 0
    movie = Movie.open(None, masks)
    graph = OverlapTracker().candidates(Detections.from_movie(movie, progress=False), movie, progress=False)
    assert graph.frame[graph.daughter].unique().tolist() == [1, 4]


class TestRefuses:
    def test_points_without_masks(self) -> None:
        cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        with pytest.raises(InputError, match="give it the movie"):
            OverlapTracker().candidates(cells)

    def test_masks_of_another_movie(self, blobs: tuple[np.ndarray, np.ndarray]) -> None:
        cells = Detections.from_movie(Movie.open(None, blobs[1]), progress=False)
        with pytest.raises(InputError, match="holds other cells in frame 0"):
            OverlapTracker().candidates(cells, Movie.open(None, blobs[1] * 2), progress=False)

    def test_a_scale_that_is_not_positive(self) -> None:
        with pytest.raises(InputError, match="scale must be positive"):
            OverlapTracker(scale=0.0)

    def test_four_coefficients(self) -> None:
        with pytest.raises(InputError, match="five numbers"):
            OverlapTracker((1.0, 0.0, 0.0, -1.0))  # type: ignore[arg-type]
