"""Merged and split detections in movies of discs, of which it is known which they are."""

import numpy as np
import pytest
import torch

from torchtrack_uq import Detections, DistanceTracker, InputError, LinkProbabilities, UncertaintyLayer
from torchtrack_uq.posterior.merged_split import merged_and_split

APART = 30.0


def probabilities(cells: Detections, max_gap: int = 1, method: str = "auto") -> LinkProbabilities:
    tracker = DistanceTracker(scale=3.0, appear=-6.0, disappear=-4.0, divide=-3.0, max_gap=max_gap)
    return UncertaintyLayer(method)(tracker.candidates(cells))


def discs(frames: list[list[tuple[float, float]]], ndim: int = 2) -> Detections:
    """Discs or balls by (x, diameter), each frame beside a row of three ordinary cells."""
    rows = [
        (t, x, d)
        for t, cells in enumerate(frames)
        for x, d in [*cells, *((100 + APART * k, 10) for k in range(3))]
    ]
    frame, x, diameter = np.array(rows, dtype=np.float64).T
    coords = np.zeros((len(frame), ndim), np.float32)
    coords[:, -1] = x
    return Detections(
        frame.astype(np.int64), np.arange(len(frame)), coords, len(frames),
        {"equivalent_diameter_area": diameter.astype(np.float32)[:, None]},
    )  # fmt: skip


TWO = [(0.0, 10.0), (10.0, 10.0)]


@pytest.mark.parametrize("max_gap", [1, 2])
@pytest.mark.parametrize("ndim", [2, 3])
def test_what_stands_between_two_and_is_as_large_as_both_is_merged(ndim: int, max_gap: int) -> None:
    cells = discs([TWO, TWO, [(5.0, 10 * 2 ** (1 / ndim))], TWO, TWO], ndim)
    merged, split = merged_and_split(cells, probabilities(cells, max_gap))
    at = int(cells.offsets[2])
    assert merged.argmax() == at
    assert merged[at] > 0.5
    assert merged[np.arange(len(cells)) != at].max() < 0.2
    assert split[at] < 0.1


@pytest.mark.parametrize("max_gap", [1, 2])
@pytest.mark.parametrize("ndim", [2, 3])
def test_two_that_were_one_and_will_be_are_its_parts(ndim: int, max_gap: int) -> None:
    half = 10 / 2 ** (1 / ndim)
    one, parts = [(0.0, 10.0)], [(-2.0, half), (2.0, half)]
    cells = discs([one, one, parts, one, one], ndim)
    merged, split = merged_and_split(cells, probabilities(cells, max_gap))
    at = int(cells.offsets[2])
    assert split[[at, at + 1]].min() > 0.5
    assert split[[i for i in range(len(cells)) if i not in (at, at + 1)]].max() < 0.2
    assert merged[[at, at + 1]].max() < 0.1


def test_a_division_is_less_of_a_split_than_parts_are() -> None:
    half = 10 / 2**0.5
    one, parts, apart = [(0.0, 10.0)], [(-2.0, half), (2.0, half)], [(-7.0, half), (7.0, half)]
    split = []
    for later in (one, apart):
        cells = discs([one, one, parts, later, later])
        split.append(merged_and_split(cells, probabilities(cells))[1][int(cells.offsets[2])])
    assert split[1] < split[0]


def test_nothing_is_said_of_points_and_of_cells_without_frames_beside_theirs() -> None:
    cells = discs([TWO, TWO, [], TWO])
    alone = Detections(cells.frame * 2, cells.label, cells.coords, 7, cells.features)
    points = Detections(cells.frame, cells.label, cells.coords, 4)
    for these in (alone, points):
        for found in merged_and_split(these, probabilities(these)):
            assert found.shape == (len(these),)
            assert found.dtype == torch.float64
            assert found.isnan().all()
    for found in merged_and_split(cells, probabilities(cells)):
        assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize("method", ["SM", "AS", "bp"])
def test_lone_cells_and_cells_in_one_place_get_numbers_by_any_method(method: str) -> None:
    frame = np.array([0, 1, 1, 1, 1, 1, 1, 1, 2])
    size = {"equivalent_diameter_area": np.full((9, 1), 5, np.float32)}
    cells = Detections(frame, np.arange(9), np.zeros((9, 2), np.float32), 3, size)
    for found in merged_and_split(cells, probabilities(cells, method=method)):
        assert ((found >= 0) & (found <= 1)).all()


def test_other_cells_are_refused() -> None:
    cells, others = discs([TWO, TWO]), discs([TWO, TWO, TWO])
    with pytest.raises(InputError, match="expected the same cells"):
        merged_and_split(others, probabilities(cells))
