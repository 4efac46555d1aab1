"""Noise where planes lie farther apart than pixels: as strong in space, so less of a plane."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.balls import VOXEL, annotated_balls, moving_balls
from torchtrack_uq import ActivityTracker, Detections, FeaturePerturbation, Movie, OverlapTracker
from torchtrack_uq.perturb import (
    NoiseSizes,
    Perturbation,
    PerturbedCopies,
    draw_perturbation,
    perturb_detections,
)
from torchtrack_uq.perturb.bands import find_band
from torchtrack_uq.trackers import Tracker

STRONG = NoiseSizes(position=0.15, size=0.1, boundary=0.05)


def no_noise(n: int, diameter: float, **changes: np.ndarray) -> Perturbation:
    zero = {
        "shift": np.zeros((n, 3)),
        "growth": np.zeros(n),
        "brightness": np.zeros(n),
        "bumps": np.zeros((n, 6)),
    }
    return Perturbation(**zero | changes, diameter=np.full(n, diameter))


def test_centroids_move_equally_far_along_every_axis_of_space() -> None:
    rng = np.random.default_rng(0)
    cells = Detections.from_points(np.zeros(4000, int), rng.uniform(0, 1000, (4000, 3)), voxel_size=VOXEL)
    noise = draw_perturbation(cells, NoiseSizes(position=0.1), rng)
    moved = perturb_detections(cells, noise)
    apart = (moved.isotropic_coords - cells.isotropic_coords) / noise.diameter[:, None]
    np.testing.assert_allclose(apart.std(axis=0), 0.1, rtol=0.06)
    in_voxels = ((moved.coords - cells.coords) / noise.diameter[:, None]).std(axis=0)
    assert in_voxels[0] == pytest.approx(in_voxels[2] / 5, rel=0.1)


@pytest.mark.parametrize("apart", [3, 5])
def test_distances_are_those_in_a_stack_with_as_many_planes_as_pixels(apart: int) -> None:
    """Every plane repeated: cubes again, whose distances are known."""
    cells = moving_balls(1, radius=3.9)[1][0].astype(np.int32)  # apart: none touches another
    width = 8.0
    fine = np.repeat(cells, apart, axis=0)
    bands = find_band(cells, width, np.array([apart, 1.0, 1.0])), find_band(fine, width)
    distance = [np.full(each.shape, np.nan) for each in (cells, fine)]
    for each, band in zip(distance, bands, strict=True):
        each.ravel()[band.where] = band.distance
    middle = distance[1][apart // 2 :: apart]  # planes of the fine stack at the centres of thick ones
    both = ~np.isnan(distance[0]) & ~np.isnan(middle)
    assert both.mean() > 0.3
    np.testing.assert_allclose(distance[0][both], middle[both], rtol=1e-6)


def test_the_boundary_of_a_thick_voxel_is_half_a_plane_away() -> None:
    cells = np.zeros((5, 1, 1), np.int32)
    cells[2] = 1
    band = find_band(cells, 9.0, np.array([4.0, 1.0, 1.0]))
    assert band.distance.tolist() == [-6.0, -2.0, 2.0, -2.0, -6.0]
    touching = np.array([1, 1, 2, 2], np.int32).reshape(4, 1, 1)
    assert find_band(touching, 9.0, np.array([4.0, 1.0, 1.0])).distance.tolist() == [2.0] * 4


def test_a_shift_moves_masks_as_far_in_space_along_z_as_along_x() -> None:
    mask = np.zeros((9, 41, 41), np.int32)
    z, y, x = np.indices(mask.shape)
    mask[((5 * (z - 4)) ** 2 + (y - 20) ** 2 + (x - 20) ** 2) < 15**2] = 1
    band = find_band(mask, 12.0, np.array([5.0, 1.0, 1.0]))

    def centre(shift: list[float]) -> np.ndarray:
        moved = mask.copy()
        moved.ravel()[band.where] = band.kept([no_noise(1, 30.0, shift=np.array([shift]))], slice(0, 1))[:, 0]
        return np.argwhere(moved).mean(axis=0) - np.argwhere(mask).mean(axis=0)

    assert centre([0.0, 0.0, 4.0])[2] == pytest.approx(4, rel=0.3)
    assert centre([4.0, 0.0, 0.0])[0] * 5 == pytest.approx(4, rel=0.3)


def test_no_noise_changes_no_voxel() -> None:
    movie = annotated_balls()
    ((cells, noisy),) = PerturbedCopies(movie.detections, movie.movie, NoiseSizes.none(), 1, 0)
    for t in range(movie.movie.n_frames):
        assert (noisy.read_mask(t) == movie.movie.read_mask(t)).all()
    assert (cells.coords == movie.detections.coords).all()


@pytest.mark.parametrize("tracker", [OverlapTracker(), ActivityTracker()])
def test_scored_together_copies_are_what_they_are_alone(tracker: Tracker) -> None:
    movie = annotated_balls()
    copies = FeaturePerturbation(3, STRONG).copies(movie.detections, movie.movie)
    together = tracker.candidates_of_copies(movie.detections, movie.movie, copies, progress=False)
    alone = [tracker.candidates(noisy, its_movie, progress=False) for noisy, its_movie in copies]
    assert len({graph.score.sum().item() for graph in together}) == 3
    for a, b in zip(together, alone, strict=True):
        for name in ("mother", "daughter", "score", "appear", "coords"):
            assert torch.equal(getattr(a, name), getattr(b, name))


def test_cubes_of_any_size_get_the_noise_of_a_movie_without_scale() -> None:
    images, masks = moving_balls()
    plain, cubes = (Movie.open(images, masks, voxel_size=voxel) for voxel in (None, (0.3, 0.3, 0.3)))
    cells = Detections.from_movie(plain, progress=False)
    found = [
        next(iter(PerturbedCopies(its, movie, STRONG, 1, 7)))
        for movie, its in ((plain, cells), (cubes, replace(cells, voxel_size=cubes.voxel_size)))
    ]
    assert (found[0][0].coords == found[1][0].coords).all()
    assert (found[0][1].read_mask(1) == found[1][1].read_mask(1)).all()
    assert (found[0][1].read_mask(1) != plain.read_mask(1)).any()
