"""Cells measured where planes lie farther apart than pixels."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import regionprops_table

from tests.support.balls import APART, VOXEL, annotated_balls, moving_balls
from torchtrack_uq import Detections, InputError, Movie
from torchtrack_uq.datasets.corrupt import CorruptionRates
from torchtrack_uq.datasets.corrupt_movie import corrupt
from torchtrack_uq.datasets.corrupt_points import corrupt_points
from torchtrack_uq.links.covariates import distance_to_border
from torchtrack_uq.movies.features import measure_frame
from torchtrack_uq.movies.scale import length_in_pixels
from torchtrack_uq.posterior.size_evidence import Bodies
from torchtrack_uq.results.doubts import far_inside
from torchtrack_uq.trackers.trackastra.tokens import every_frame


@pytest.mark.parametrize("edges", [(5.0, 1.0, 1.0), (0.4, 1.3, 1.0), (1.5, 1.0)])
def test_sizes_and_shapes_are_those_of_skimage_with_spacing(edges: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    shape = (9, 30, 32)[-len(edges) :]
    mask = np.kron(rng.integers(0, 6, [-(-size // 3) for size in shape]), np.ones([3] * len(shape), int))
    mask = mask[tuple(slice(0, size) for size in shape)]
    cells = measure_frame(mask, aspect=np.array(edges))
    expected = regionprops_table(
        mask, spacing=edges, properties=("centroid", "equivalent_diameter_area", "inertia_tensor")
    )
    columns = list(expected.values())
    d = len(shape)
    np.testing.assert_allclose(cells.centroid * edges, np.stack(columns[:d], -1))
    np.testing.assert_allclose(cells.diameter, columns[d])
    np.testing.assert_allclose(cells.inertia, np.stack(columns[d + 1 :], -1), atol=1e-9)
    assert (cells.border == measure_frame(mask).border).all()


def test_balls_are_as_large_and_as_round_as_they_are_in_space() -> None:
    known, unknown = (annotated_balls(voxel).detections for voxel in (VOXEL, None))
    diameter = [float(np.median(cells.features["equivalent_diameter_area"])) for cells in (known, unknown)]
    assert diameter[0] == pytest.approx(12, rel=0.05)
    assert diameter[1] < 0.7 * diameter[0]

    def flatness(cells: Detections) -> float:
        """Spread along z against that along x."""
        spread = np.median(Bodies.of(cells).covariance, axis=0)
        return float(spread[0, 0] / spread[2, 2])

    assert flatness(known) == pytest.approx(1, abs=0.35)
    assert flatness(unknown) < 0.1


@pytest.mark.parametrize("edge", [1.0, 0.3])
def test_cubes_of_any_size_change_no_bit(edge: float) -> None:
    images, masks = moving_balls()
    plain, cubes = (
        Detections.from_movie(Movie.open(images, masks, voxel_size=voxel), progress=False)
        for voxel in (None, (edge,) * 3)
    )
    assert (plain.isotropic_coords == cubes.isotropic_coords).all()
    assert (plain.coords == cubes.coords).all()
    for name, values in plain.features.items():
        assert (values == cubes.features[name]).all()


def test_borders_are_as_far_as_they_are_in_space() -> None:
    cells = Detections.from_points(
        np.zeros(2, int), np.array([[1.0, 20, 20], [5, 3, 20]]), voxel_size=(10.0, 2.0, 2.0)
    )
    assert distance_to_border(cells, (12, 41, 41)).tolist() == [20, 3]
    assert distance_to_border(cells, (12, 41, 41), depth=True).tolist() == [5, 3]
    assert distance_to_border(cells, (12, 41, 41), depth=True, margin=0.5).tolist() == [7.5, 3.5]
    wide = replace(cells, voxel_size=(2.0, 6.0, 2.0))
    assert distance_to_border(wide, (12, 41, 41)).tolist() == [20, 9]


def test_a_cell_in_the_fifth_plane_is_far_inside_only_where_planes_lie_apart() -> None:
    frame, place = np.array([0, 1]), np.array([[4.0, 50, 50], [4.0, 51, 50]])
    cells = Detections.from_points(frame, place)
    assert not far_inside(replace(cells, voxel_size=(0.2, 1.0, 1.0)), (9, 101, 101)).any()
    assert far_inside(replace(cells, voxel_size=(5.0, 1.0, 1.0)), (9, 101, 101)).all()


def test_whoever_copies_detections_hands_on_their_scale() -> None:
    movie = annotated_balls(interval=30.0)
    points = replace(movie.detections, features={})
    scale = (VOXEL, 30.0)
    assert (movie.detections.voxel_size, movie.detections.interval) == scale
    made = {
        "frames": movie.frames(1, 3).detections,
        "points with errors": corrupt_points(points, CorruptionRates(missed=0.1, false=0.1)).detections,
        "masks with errors": corrupt(movie, CorruptionRates(missed=0.1, boundary=0.01)).detections,
    }
    for name, cells in made.items():
        assert (cells.voxel_size, cells.interval) == scale, name
    for name, cells in {
        "strided": movie.strided(2).detections,
        "every second": every_frame(movie.detections, 2, 1)[1],
    }.items():
        assert (cells.voxel_size, cells.interval) == (VOXEL, 60.0), name


def test_made_up_points_keep_their_distance_in_space() -> None:
    grid = np.stack(np.meshgrid(*(np.arange(0, 60, 10),) * 3, indexing="ij"), -1).reshape(-1, 3).astype(float)
    cells = Detections.from_points(np.zeros(len(grid), int), grid)
    flat = replace(cells, coords=(grid / [APART, 1, 1]).astype(np.float32), voxel_size=VOXEL)
    made, flat_made = (
        corrupt_points(each, CorruptionRates(false=0.05), seed=3).detections for each in (cells, flat)
    )
    np.testing.assert_allclose(made.isotropic_coords, flat_made.isotropic_coords, atol=1e-4)


def test_lengths_have_units_or_are_pixels() -> None:
    for text in ("12um", "12 µm", "12μm", " 1.2e1UM "):
        assert length_in_pixels("search_range", text, VOXEL) == pytest.approx(30)
    assert length_in_pixels("search_range", 12, VOXEL) == 12
    with pytest.raises(InputError, match="give the voxel size too, or a number of pixels"):
        length_in_pixels("search_range", "12um", None)
    for bad in ("12 px", "um", "1..2um", ""):
        with pytest.raises(InputError, match="expected micrometres such as '12um', or a number of pixels"):
            length_in_pixels("search_range", bad, VOXEL)
