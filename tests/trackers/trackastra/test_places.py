"""Where a window's cells lie for a model: nothing but the cells that the model can see together decides it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.trackers.trackastra.places import corner_of, places_in_window

REACH = 10.0


def parts_by_brute_force(coords: np.ndarray) -> list[list[int]]:
    """Parted at gaps wider than the reach along one axis, again and again."""
    parts, whole = [list(range(len(coords)))], False
    while not whole:
        whole = True
        for part in parts:
            for axis in range(coords.shape[1]):
                order = sorted(part, key=lambda i: coords[i, axis])
                gaps = [
                    k
                    for k in range(1, len(order))
                    if coords[order[k], axis] - coords[order[k - 1], axis] > REACH
                ]
                if gaps:
                    parts.remove(part)
                    parts += [order[: gaps[0]], order[gaps[0] :]]
                    whole = False
                    break
            if not whole:
                break
    return parts


@given(
    st.integers(1, 30), st.integers(1, 3), st.integers(0, 10_000), st.sampled_from([1.0, 12.0, 60.0, 400.0])
)
def test_it_is_the_corner_of_the_largest_part(n: int, ndim: int, seed: int, extent: float) -> None:
    rng = np.random.default_rng(seed)
    coords = rng.uniform(-extent, extent, (n, ndim)).astype(np.float32)
    found = corner_of(torch.from_numpy(coords), REACH).numpy()
    parts = parts_by_brute_force(coords)
    most = max(map(len, parts))
    corners = [coords[part].min(axis=0) for part in parts if len(part) == most]
    assert any(np.array_equal(found, corner) for corner in corners)


@given(st.integers(2, 30), st.integers(0, 10_000), st.sampled_from([12.0, 60.0]))
def test_the_order_of_cells_moves_no_corner_even_of_parts_as_large(n: int, seed: int, extent: float) -> None:
    rng = np.random.default_rng(seed)
    coords = torch.from_numpy(rng.uniform(0, extent, (n, 2)).astype(np.float32))
    turned = coords[torch.from_numpy(rng.permutation(n))]
    assert torch.equal(corner_of(coords, REACH), corner_of(turned, REACH))


@pytest.mark.parametrize("stray", [(-500.0, 3.0), (3.0, -500.0), (1e6, -1e6)])
def test_a_stray_cell_moves_no_other(stray: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    coords = torch.from_numpy(rng.uniform(0, 20, (40, 2)).astype(np.float32))
    since = torch.from_numpy(rng.integers(0, 3, 40))
    motion = torch.from_numpy(rng.normal(size=(40, 2, 2)).astype(np.float32))
    with_it = torch.cat([coords, torch.tensor([stray])])
    still = torch.cat([motion, torch.zeros(1, 2, 2)])
    since_it = torch.cat([since, torch.tensor([1])])
    found = places_in_window(with_it, since_it, still, REACH)[:-1]
    assert torch.equal(found, places_in_window(coords, since, motion, REACH))


def test_many_cells_in_one_place_have_it_as_their_corner() -> None:
    assert corner_of(torch.full((100, 3), 7.0), REACH).tolist() == [7.0] * 3


def test_a_window_without_cells_has_no_places() -> None:
    none = torch.zeros(0, 2)
    assert places_in_window(none, none[:, 0].long(), None, REACH).shape == (0, 2)
