"""Distances to the nearest cell against scipy."""

import numpy as np
import pytest
from scipy import ndimage

from torchtrack_uq.perturb.distance_map import nearest_cell, nearest_in_space


@pytest.mark.parametrize("shape", [(40, 50), (1, 60), (60, 1), (7, 20, 25)])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
def test_distances_and_nearest_cells_are_those_of_scipy(shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(1, 1 << 30, shape).astype(np.int32)
    is_cell = rng.uniform(size=shape) < share
    is_cell.flat[0] = True
    expected, nearest = ndimage.distance_transform_edt(~is_cell, return_indices=True)
    for limit in (2.5, 6.0, 100.0):
        squared, found = nearest_cell(cells, is_cell, limit)
        near = expected < limit
        np.testing.assert_array_equal(np.sqrt(squared[near]), expected[near])
        np.testing.assert_array_equal(found[near], cells[tuple(nearest)][near])
        assert (squared[~near] >= limit**2).all()


@pytest.mark.parametrize("shape", [(40, 50), (7, 20, 25)])
@pytest.mark.parametrize("share", [0.01, 0.3])
def test_of_cubes_distances_in_space_are_the_same(shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(1)
    cells = rng.integers(1, 1 << 30, shape).astype(np.int32)
    is_cell = rng.uniform(size=shape) < share
    squared, _ = nearest_cell(cells, is_cell, 6.0)
    in_space, found = nearest_in_space(cells, is_cell, 6.0, np.ones(len(shape)))
    np.testing.assert_array_equal(squared, in_space)
    near = squared < 36
    where = {value: np.argwhere(cells == value)[0] for value in np.unique(found[near])}
    for at in np.argwhere(near)[::7]:
        assert ((where[found[tuple(at)]] - at) ** 2).sum() == squared[tuple(at)]


@pytest.mark.parametrize("edges", [(3.0, 1.0, 1.0), (1.0, 5.0, 3.0), (7.0, 3.0, 1.0)])
def test_distances_in_space_are_those_of_a_stack_of_cubes(edges: tuple[float, ...]) -> None:
    rng = np.random.default_rng(2)
    is_cell = rng.uniform(size=(5, 9, 8)) < 0.02
    squared, _ = nearest_in_space(is_cell.astype(np.int32), is_cell, 8.0, np.array(edges))
    repeats = [int(edge) for edge in edges]
    fine = np.kron(is_cell, np.ones(repeats, dtype=bool))
    centres = tuple(slice(n // 2, None, n) for n in repeats)
    expected = ndimage.distance_transform_edt(~fine)[centres]
    np.testing.assert_allclose(np.sqrt(squared), np.minimum(expected, 8.0))
