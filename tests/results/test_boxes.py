"""The piece of a frame that is shown holds the cells, and lies inside the field where it fits."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from torchtrack_uq import Detections
from torchtrack_uq.results.boxes import box_around


def in_field(places: np.ndarray, shape: tuple[int, int]) -> Detections:
    return replace(Detections.from_points(np.arange(len(places)), places), field_shape=shape)


@given(y=st.floats(0, 99), x=st.floats(0, 299), dy=st.floats(-8, 8), dx=st.floats(-8, 8))
@settings(deadline=None)
def test_a_box_holds_its_cells_and_stays_in_the_field(y: float, x: float, dy: float, dx: float) -> None:
    other = np.clip([y + dy, x + dx], 0, [99, 299])
    cells = in_field(np.array([[y, x], other]), (100, 300))
    box = box_around(cells, [0, 1])
    assert 0 <= box.top <= min(y, other[0]) + 1
    assert 0 <= box.left <= min(x, other[1]) + 1
    assert max(y, other[0]) < box.top + box.size + 1 <= 101
    assert max(x, other[1]) < box.left + box.size + 1 <= 301


def test_a_field_that_is_too_small_is_shown_whole_around_its_cells() -> None:
    cells = in_field(np.array([[5.0, 5.0]]), (10, 10))
    box = box_around(cells, [0])
    assert box.size == 48
    assert box.top < 0 < 10 < box.top + box.size
