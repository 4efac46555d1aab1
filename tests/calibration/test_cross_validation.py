"""Whether a temperature is worth having: against refits, and what a cautious fit does with the answer."""

import math
import warnings

import numpy as np
import pytest

from tests.support.simulated import simulated_movie
from torchtrack_uq import InputError, UncertaintyLayer
from torchtrack_uq.calibration import CalibrationWarning, TemperatureObjective, fit_temperature
from torchtrack_uq.calibration.cross_validation import N_FOLDS


def movies_of(scale: float, n: int = 7):
    return [simulated_movie(25, seed, scale) for seed in range(n)]


@pytest.mark.parametrize("method", ["SM", "AS", "auto"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_it_is_what_fitting_again_without_some_movies_gives(method: str, scale: float) -> None:
    movies = movies_of(scale)
    layer = UncertaintyLayer(method)
    held_out = fit_temperature(layer, movies).cross_validation
    changes = []
    for fold in np.array_split(np.arange(len(movies)), N_FOLDS):
        others = [movie for k, movie in enumerate(movies) if k not in fold]
        x = math.log(fit_temperature(UncertaintyLayer(method), others).temperature)
        for k in fold:
            held = TemperatureObjective(UncertaintyLayer(method), [movies[k]], prior_width=None)
            changes.append((held.likelihood(x) - held.likelihood(0.0)) * held.n_daughters)
    n = 7 * 75
    assert held_out.n_units == 7
    assert held_out.change == pytest.approx(sum(changes) / n, abs=2e-3)
    assert held_out.error == pytest.approx(np.std(changes, ddof=1) * math.sqrt(7) / n, abs=2e-3)


def test_a_scorer_that_is_too_sure_gets_its_temperature() -> None:
    movies = movies_of(2.5)
    plain, careful = UncertaintyLayer("SM"), UncertaintyLayer("SM")
    fitted = fit_temperature(plain, movies)
    found = fit_temperature(careful, movies, cautious=True)
    assert not found.kept_at_one
    assert found.temperature == pytest.approx(fitted.temperature)
    assert found.cross_validation.gains


def test_a_calibrated_scorer_keeps_its_scores() -> None:
    movies, layer = movies_of(1.0), UncertaintyLayer("auto")
    with pytest.warns(CalibrationWarning, match="no clear gain: T = 1 is kept"):
        found = fit_temperature(layer, movies, cautious=True)
    assert found.kept_at_one
    assert float(layer.temperature.detach()) == 1.0
    assert found.nll_after == found.nll_before


def test_units_are_frame_pairs_of_up_to_two_movies_and_movies_from_three_on() -> None:
    movies = [simulated_movie(8, seed, 2.5, n_pairs=4) for seed in range(3)]
    found = [fit_temperature(UncertaintyLayer("SM"), movies[:n]).cross_validation for n in (1, 2, 3)]
    assert [held_out.n_units for held_out in found] == [4, 8, 3]


def test_frame_pairs_left_out_are_refitted_without() -> None:
    movie = simulated_movie(25, 3, 2.5, n_pairs=4)
    held_out = fit_temperature(UncertaintyLayer("SM"), [movie]).cross_validation
    changes = []
    for pair in range(4):
        here = movie.graph.frame == 2 * pair + 1
        x = math.log(fit_temperature(UncertaintyLayer("SM"), [movie.only(~here)]).temperature)
        held = TemperatureObjective(UncertaintyLayer("SM"), [movie.only(here)], prior_width=None)
        changes.append((held.likelihood(x) - held.likelihood(0.0)) * held.n_daughters)
    assert held_out.change == pytest.approx(sum(changes) / 300, abs=2e-3)


@pytest.mark.parametrize("largest", [0.5, 0.015])
def test_a_method_that_cannot_do_t_of_1_gets_the_t_that_it_can(largest: float) -> None:
    layer = UncertaintyLayer("exact")
    plain = layer.forward

    def refusing(*args):
        if float(layer.temperature.detach()) > largest:
            raise InputError("too ambiguous")
        return plain(*args)

    layer.forward = refusing  # type: ignore[method-assign]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*ran to its bound.*")
        found = fit_temperature(layer, movies_of(2.5, 2), cautious=True)
    assert found.temperature <= largest
    assert not found.kept_at_one
    assert math.isnan(found.cross_validation.change)
    assert math.isinf(found.nll_before)


def test_one_frame_pair_says_nothing_and_keeps_the_fit() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_temperature(UncertaintyLayer("SM"), [simulated_movie(25, 0, 1.3)], cautious=True)
    assert not found.kept_at_one
    assert math.isnan(found.cross_validation.change)
