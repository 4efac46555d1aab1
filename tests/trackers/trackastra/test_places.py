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
def test_it_is_the_corner_of_all_parts_but_strays(n: int, ndim: int, seed: int, extent: float) -> None:
    rng = np.random.default_rng(seed)
    coords = rng.uniform(-extent, extent, (n, ndim)).astype(np.float32)
    found = corner_of(torch.from_numpy(coords), REACH).numpy()
    parts = parts_by_brute_force(coords)
    most = max(map(len, parts))
    counted = [i for part in parts if len(part) >= most / 10 for i in part]
    np.testing.assert_array_equal(found, coords[counted].min(axis=0))


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


def test_of_two_colonies_as_large_a_cell_less_moves_no_corner() -> None:
    rng = np.random.default_rng(0)
    one = torch.from_numpy(rng.uniform(0, 20, (25, 2)).astype(np.float32))
    inner = int((one - one.mean(dim=0)).norm(dim=1).argmin())
    both = torch.cat([one, one + 2000])
    for left_out in (inner, 25 + inner):
        fewer = torch.cat([both[:left_out], both[left_out + 1 :]])
        assert torch.equal(corner_of(fewer, REACH), corner_of(both, REACH))


def test_many_cells_in_one_place_have_it_as_their_corner() -> None:
    assert corner_of(torch.full((100, 3), 7.0), REACH).tolist() == [7.0] * 3


def test_a_window_without_cells_has_no_places() -> None:
    none = torch.zeros(0, 2)
    assert places_in_window(none, none[:, 0].long(), None, REACH).shape == (0, 2)
