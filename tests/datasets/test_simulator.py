import numpy as np
import pytest

from torchtrack_uq import DistanceTracker, UncertaintyLayer
from torchtrack_uq.calibration import ScoredMovie, fit_temperature
from torchtrack_uq.datasets.simulator import simulate_movie
from torchtrack_uq.errors import InputError


def test_the_same_seed_makes_the_same_movie_and_another_one_another() -> None:
    one, again, other = (simulate_movie(6, 20, seed=seed).detections.coords for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one[:20], other[:20])


def test_steps_have_the_noise_that_was_asked_for() -> None:
    movie = simulate_movie(10, 2000, (1e4, 1e4), motion=7.0, divide=0.0, appear=0.0)
    linked = movie.mother >= 0
    coords = movie.detections.coords
    steps = coords[linked] - coords[movie.mother[linked]]
    assert steps.std(axis=0) == pytest.approx([7.0, 7.0], rel=0.02)  # standard error 0.5 %
    assert np.abs(steps.mean(axis=0)).max() < 0.2


def test_events_are_as_frequent_as_asked_for() -> None:
    movie = simulate_movie(
        10, 2000, (1e4, 1e4), motion=1.0, divide=0.05, disappear=0.1, appear=30.0, separation=2.0
    )
    n_daughters = np.bincount(movie.mother[movie.mother >= 0], minlength=len(movie))
    mothers = movie.detections.frame < 9
    assert np.mean(n_daughters[mothers] == 2) == pytest.approx(0.05, abs=0.008)
    assert np.mean(n_daughters[mothers] == 0) == pytest.approx(0.1, abs=0.01)
    assert movie.summary()["n_null"] == pytest.approx(9 * 30, abs=60)
    assert n_daughters.max() == 2


def test_daughters_start_as_far_apart_as_asked_for() -> None:
    movie = simulate_movie(2, 50, (1e3, 1e3), motion=0.0, divide=1.0, disappear=0.0, appear=0.0, separation=8)
    coords = movie.detections.coords
    pairs = [np.flatnonzero(movie.mother == mother) for mother in range(50)]
    apart = [np.linalg.norm(coords[a] - coords[b]) for a, b in (pair for pair in pairs if len(pair) == 2)]
    assert len(apart) > 40
    assert apart == pytest.approx([8.0] * len(apart), abs=1e-3)


def test_cells_stay_in_the_field_of_view_and_never_return_to_it() -> None:
    movie = simulate_movie(15, 60, (50, 40, 30), motion=6.0, appear=3.0)
    assert movie.detections.ndim == 3
    assert (movie.detections.coords >= 0).all()
    assert (movie.detections.coords < [50, 40, 30]).all()
    lived = movie.lineage.end - movie.lineage.begin + 1
    rows = movie.lineage.rows_of(movie.detections.label)
    assert np.array_equal(np.bincount(rows), lived)  # no gap between first and last frame


def test_a_movie_may_die_out() -> None:
    movie = simulate_movie(4, 3, disappear=1.0, divide=0.0, appear=0.0)
    assert len(movie) == 3
    assert movie.detections.n_frames == 4


def scored(too_sure: float) -> ScoredMovie:
    """A movie with the scores that it was simulated by, multiplied by a number."""
    motion, side, appear, disappear = 6.0, 420.0, 4.0, 0.02
    movie = simulate_movie(
        30, 60, (side, side), motion=motion, divide=0.0, disappear=disappear, appear=appear
    )
    step = np.log((1 - disappear) / (2 * np.pi * motion**2))  # a link's log-likelihood at distance 0
    tracker = DistanceTracker(
        scale=motion / np.sqrt(too_sure),
        search_range=5 * motion,
        appear=too_sure * (np.log(appear / side**2) - step),
        disappear=too_sure * np.log(disappear),
        divide=-np.inf,
    )
    return ScoredMovie(movie.name, tracker.candidates(movie.detections, progress=False), movie.targets())


@pytest.mark.parametrize("too_sure", [1.0, 4.0])
def test_the_fitted_temperature_is_by_how_much_the_scores_are_too_sure(too_sure: float) -> None:
    found = fit_temperature(UncertaintyLayer("SM"), [scored(too_sure)])
    assert found.temperature == pytest.approx(too_sure, rel=0.1)


def test_the_posterior_fits_the_truth_best_at_the_scores_that_it_was_simulated_by() -> None:
    movie = scored(1.0)
    likelihood = {}
    for temperature in (0.8, 1.0, 1.25):
        layer = UncertaintyLayer("auto", temperature)
        likelihood[temperature] = float(movie.judge(layer).true_log_p.detach().mean())
    assert max(likelihood, key=likelihood.__getitem__) == 1.0
    assert likelihood[1.0] > float(movie.judge(UncertaintyLayer("SM")).true_log_p.detach().mean()) + 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_frames": 1}, "at least 2 frames"),
        ({"n_cells": 0}, "a cell to begin with"),
        ({"size": (10.0,)}, "two or three positive lengths"),
        ({"size": (10.0, np.inf)}, "two or three positive lengths"),
        ({"motion": -1.0}, "motion must be"),
        ({"appear": np.nan}, "appear must be"),
        ({"divide": 0.6, "disappear": 0.5}, "sum to at most 1"),
        ({"divide": -0.1}, "must be probabilities"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_movie(**arguments)  # type: ignore[arg-type]
