"""Cells that are described by numbers are simulated as described."""

import math

import numpy as np
import pytest

from torchtrack_uq.datasets.simulation import simulate
from torchtrack_uq.errors import InputError
from torchtrack_uq.planning import Culture, MeasuredSteps, Walk
from torchtrack_uq.planning.culture import SPACING


def test_a_walk_has_the_displacement_of_fuerths_formula() -> None:
    for t, p in ((0.01, 5.0), (5.0, 5.0), (500.0, 5.0)):
        expected = 2 * 0.3**2 * p * (t - p * (1 - math.exp(-t / p)))
        assert 2 * Walk(0.3, p).step(t, 2)[0] ** 2 == pytest.approx(expected, rel=1e-4)
    assert Walk(0.3).step(10.0, 3)[0] == pytest.approx(3 / math.sqrt(3))
    assert Walk(0.3, 5.0).step(1e-3, 2)[1] > 0.94
    assert Walk(0.3, 5.0).step(1e3, 2)[1] < 0.01


def test_two_short_steps_of_a_persistent_walk_are_one_long_step() -> None:
    sigma, r = Walk(0.3, 5.0).step(4.0, 2)
    assert 2 * sigma**2 * (1 + r) == pytest.approx(Walk(0.3, 5.0).step(8.0, 2)[0] ** 2, rel=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
def test_diffusion_spreads_with_the_square_root_of_time(ndim: int) -> None:
    for t in (1.0, 9.0):
        assert Walk.diffusing(0.5, ndim).step(t, ndim)[0] == pytest.approx(math.sqrt(2 * 0.5 * t), rel=1e-3)


def test_simulated_movies_have_the_density_and_the_events_of_the_culture() -> None:
    culture = Culture(0.004, Walk(0.5, 10.0), divide=0.004, disappear=0.001, apart=6.0, missed=0.1)
    conditions = culture.conditions(10.0, n_cells=400, n_frames=11)
    scale = SPACING * 0.004**0.5
    assert conditions.motion / scale == pytest.approx(culture.motion.step(10.0, 2)[0])  # type: ignore[union-attr]
    assert conditions.apart == pytest.approx(scale * 6)
    counts = np.bincount(simulate(conditions, 1).detections.frame)
    assert counts[5] / np.prod(conditions.field / scale) == pytest.approx(0.004, rel=0.1)
    assert conditions.divide == pytest.approx(1 - math.exp(-0.04))
    assert counts[-1] / counts[0] == pytest.approx(
        (1 + conditions.divide - conditions.disappear) ** 10, rel=0.15
    )


def test_only_ratios_of_lengths_matter() -> None:
    small = Culture(1.0, Walk(0.1, 3.0), apart=0.5, divide=0.01).conditions(2.0)
    large = Culture(1e-4, Walk(10.0, 3.0), apart=50.0, divide=0.01).conditions(2.0)
    for name in ("motion", "persistence", "divide", "apart", "n_cells"):
        assert getattr(small, name) == pytest.approx(getattr(large, name))
    assert small.size == large.size


def test_measured_steps_are_not_extrapolated() -> None:
    steps = [(np.zeros((5, 2)), np.ones((5, 2)))]
    culture = Culture(0.01, MeasuredSteps(2.0, 0.01, {1: steps, 2: steps}))
    assert culture.conditions(4.0).steps is not None
    for interval in (3.0, 6.0, 400.0):
        with pytest.raises(InputError, match="nothing is extrapolated; expected one of 2, 4"):
            culture.conditions(interval)


def test_intervals_in_which_cells_divide_twice_are_refused() -> None:
    with pytest.raises(InputError, match="some divide twice"):
        Culture(0.01, Walk(0.1), divide=0.1).conditions(10.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": 0.0}, "expected a positive number of cells"),
        ({"density": math.nan}, "expected a positive number of cells"),
        ({"ndim": 4}, "expected 2 or 3"),
        ({"divide": -1.0}, "divide is -1.0"),
        ({"missed": 1.0}, "missed is 1.0"),
        ({"apart": 20.0}, "have no room at this density"),
    ],
)
def test_numbers_that_cannot_be_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Culture(**{"density": 0.01, "motion": Walk(0.1), **arguments})  # type: ignore[arg-type]


def test_walks_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="speed is -1"):
        Walk(-1.0)
    with pytest.raises(InputError, match="persistence is 0"):
        Walk(1.0, 0.0)
    with pytest.raises(InputError, match="diffusion is nan"):
        Walk.diffusing(math.nan)
    with pytest.raises(InputError, match="interval is 0"):
        Culture(0.01, Walk(1.0)).conditions(0.0)
