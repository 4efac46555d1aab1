"""Distances to the nearest cell against scipy."""

import numpy as np
import pytest
from scipy import ndimage

from torchtrack_uq.perturb.distance_map import nearest_cell


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
