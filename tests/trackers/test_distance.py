import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import trackpy

from torchtrack_uq import Detections, DistanceTracker, InputError
from torchtrack_uq.posterior import map_links
from torchtrack_uq.trackers.neighbours import neighbour_links, typical_displacement


def random_walks(seed: int, n_frames: int = 6, n_cells: int = 80) -> Detections:
    """Cells that walk about in a crowded field, some of them missing now and then; no divisions."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 100, (n_cells, 2))
    walks = start + np.cumsum(rng.normal(0, 2.0, (n_frames, n_cells, 2)), axis=0)
    seen = rng.random((n_frames, n_cells)) < 0.93
    frame, _ = np.nonzero(seen)
    return Detections.from_points(frame, walks[seen], n_frames=n_frames)


def links_of_trackpy(cells: Detections, search_range: float) -> set[tuple[int, int]]:
    trackpy.quiet()
    table = pd.DataFrame({"y": cells.coords[:, 0], "x": cells.coords[:, 1], "frame": cells.frame}).astype(
        {"y": float, "x": float}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trackpy uses what pandas is about to remove
        linked = trackpy.link(table, search_range, pos_columns=["y", "x"])
    return {
        (int(i), int(j))
        for _, track in linked.groupby("particle")
        for i, j in zip(track.index[:-1], track.index[1:], strict=True)
        if cells.frame[j] == cells.frame[i] + 1
    }


@pytest.mark.parametrize("seed", range(8))
def test_the_map_is_what_trackpy_links(seed: int) -> None:
    cells = random_walks(seed)
    graph = DistanceTracker(search_range=7.0, divide=-np.inf).candidates(cells)
    chosen = map_links(graph)
    ours = set(
        zip(graph.mother.numpy()[chosen].tolist(), graph.daughter.numpy()[chosen].tolist(), strict=True)
    )
    assert len(ours) > 280
    assert ours == links_of_trackpy(cells, 7.0)


def test_the_map_is_what_trackpy_links_on_a_real_movie(hela_cells: Detections) -> None:
    graph = DistanceTracker(search_range=15.0, divide=-np.inf).candidates(hela_cells)
    chosen = map_links(graph)
    ours = set(
        zip(graph.mother.numpy()[chosen].tolist(), graph.daughter.numpy()[chosen].tolist(), strict=True)
    )
    assert ours == links_of_trackpy(hela_cells, 15.0)


def test_scores_are_squared_distances_within_the_range() -> None:
    cells = random_walks(0)
    graph = DistanceTracker(search_range=7.0, scale=1.0, reach=1).candidates(cells)
    distance = np.linalg.norm(
        cells.coords[graph.mother].astype(float) - cells.coords[graph.daughter].astype(float), axis=1
    )
    assert distance.max() <= 7.0
    np.testing.assert_allclose(graph.score, -(distance**2) / 2, rtol=1e-5)
    assert graph.appear.unique().tolist() == [-24.5]


def test_mothers_beyond_the_range_are_candidates_less_likely_than_none() -> None:
    cells = random_walks(0)
    near = DistanceTracker(search_range=7.0, scale=1.0, reach=1).candidates(cells)
    graph = DistanceTracker(search_range=7.0, scale=1.0).candidates(cells)
    difference = (cells.coords[graph.mother] - cells.coords[graph.daughter]).astype(float)
    distance = np.linalg.norm(difference, axis=1)
    beyond = distance > 7.0
    assert beyond.sum() == graph.n_links - near.n_links > 0
    np.testing.assert_allclose(graph.score[beyond], -24.5 - 7.0 * np.log(distance[beyond] / 7.0), rtol=1e-5)
    assert distance.max() <= 14.0
    with pytest.raises(InputError, match="reach"):
        DistanceTracker(reach=0.5)


def test_still_cells_may_jump_as_far_as_their_neighbours_are_where_nobody_gave_a_range() -> None:
    """A daughter of a cell that hardly moves appears at some distance from where her mother was."""
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2) * 40
    moved = grid + 0.1
    moved[0] = [0, 25]
    frame = np.repeat([0, 1], 36)
    cells = Detections.from_points(frame, np.concatenate([grid, moved]))

    def mothers(tracker: DistanceTracker) -> set[int]:
        graph = tracker.candidates(cells)
        jumped = graph.coords[36:].sub(torch.tensor([0.0, 25.0])).norm(dim=1).argmin() + 36
        return set(graph.mother[graph.daughter == jumped].tolist())

    assert 0 in mothers(DistanceTracker())
    assert mothers(DistanceTracker(reach=1)) == set()
    assert mothers(DistanceTracker(search_range=5.0)) == set()


def test_candidates_are_all_pairs_within_the_range_or_the_nearest_of_them() -> None:
    cells = random_walks(3, n_frames=3)
    mother, daughter, distance = neighbour_links(cells, 9.0)
    pairs = np.linalg.norm(cells.coords[:, None].astype(float) - cells.coords[None], axis=-1)
    consecutive = cells.frame[:, None] + 1 == cells.frame[None]
    expected = set(map(tuple, np.argwhere((pairs <= 9.0) & consecutive).tolist()))
    assert set(zip(mother.tolist(), daughter.tolist(), strict=True)) == expected
    nearest = neighbour_links(cells, 9.0, max_candidates=2)
    for j in np.unique(daughter):
        assert sorted(nearest[2][nearest[1] == j]) == pytest.approx(sorted(distance[daughter == j])[:2])


def test_the_default_scale_finds_the_displacement_of_sparse_cells() -> None:
    rng = np.random.default_rng(0)
    start = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2) * 50
    cells = Detections.from_points(
        np.repeat([0, 1], len(start)), np.concatenate([start, start + rng.normal(0, 3.0, start.shape)])
    )
    assert typical_displacement(cells) == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("unit", [1e-3, 0.125, 8.0])
def test_points_score_alike_in_any_unit(unit: float) -> None:
    rng = np.random.default_rng(0)
    start = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2) * 50
    coords = np.concatenate([start, start + rng.normal(0, 3.0, start.shape)])
    frame = np.repeat([0, 1], len(start))
    pixels, other = (
        DistanceTracker().candidates(Detections.from_points(frame, coords * scale), progress=False)
        for scale in (1.0, unit)
    )
    np.testing.assert_array_equal(other.mother, pixels.mother)
    np.testing.assert_allclose(other.score, pixels.score, rtol=1e-4, atol=1e-4)


def test_frames_without_cells_and_single_cells_work() -> None:
    cells = Detections.from_points(np.array([0, 2]), np.zeros((2, 2)), n_frames=4)
    assert DistanceTracker().candidates(cells).n_links == 0
    one = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    assert DistanceTracker().candidates(one).n_links == 1


@pytest.mark.parametrize(
    "options", [{"search_range": 0}, {"search_range": -1}, {"scale": 0}, {"scale": np.nan}]
)
def test_ranges_that_are_not_positive_are_refused(options: dict) -> None:
    with pytest.raises(InputError, match="must be a positive number"):
        DistanceTracker(**options)
