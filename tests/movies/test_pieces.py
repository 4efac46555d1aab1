"""Pieces of labels are those of scikit-image, and a look at a large mask is a look at a part of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label as connected

from torchtrack_uq.movies import mask_look
from torchtrack_uq.movies.mask_look import MaskLook
from torchtrack_uq.movies.pieces import connected_pieces


@given(st.integers(0, 1000), st.sampled_from([(1, 1), (7, 9), (1, 30), (30, 1), (5, 6, 7), (1, 8, 8)]))
def test_pieces_are_those_of_scikit_image(seed: int, shape: tuple[int, ...]) -> None:
    mask = np.random.default_rng(seed).integers(0, 3, shape)
    pieces = connected(mask, connectivity=mask.ndim)
    size = np.bincount(pieces.ravel())[1:]
    of_label = np.array([mask.ravel()[np.flatnonzero(pieces == k)[0]] for k in range(1, len(size) + 1)], int)
    found = connected_pieces(mask)
    assert sorted(zip(found.label, found.size, strict=True)) == sorted(zip(of_label, size, strict=True))


def test_cells_of_a_real_movie_are_one_piece_each(hela: object) -> None:
    look = MaskLook.of([(0, hela.read_mask(0))])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(look.n_large, 1)


def test_no_pixel_has_no_piece() -> None:
    assert len(connected_pieces(np.zeros((0, 4), int)).label) == 0
    assert MaskLook.of([]).n == 0


def test_of_a_large_mask_a_part_with_cells_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_look, "_MOST_PIXELS", 40 * 40)
    mask = np.zeros((3, 400, 400), int)
    mask[:, 300:310, 320:330] = 7
    look = MaskLook.of([(0, mask)])
    assert look.n_pixels <= 40 * 40
    assert look.label.tolist() == [7]
    assert look.area.tolist() == [300]
