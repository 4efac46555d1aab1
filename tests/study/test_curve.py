import math

import pytest

from study.curve import COARSE, FINE, best_temperature, curve_of
from study.split import alternating, part_of
from torchtrack_uq.calibration import ScoredMovie, fit_temperature
from torchtrack_uq.layers import UncertaintyLayer


@pytest.mark.filterwarnings("ignore:all .* annotated daughters have a mother")
@pytest.mark.parametrize(("method", "step"), [("SM", FINE), ("AS", COARSE), ("auto", COARSE)])
def test_the_curve_has_its_minimum_where_the_fit_finds_it(
    scored: ScoredMovie, method: str, step: int
) -> None:
    layer = UncertaintyLayer(method)
    found = best_temperature([curve_of(layer, scored, step)])
    assert math.log(found) == pytest.approx(math.log(fit_temperature(layer, [scored]).temperature), abs=0.03)


@pytest.mark.filterwarnings("ignore:all .* annotated daughters have a mother")
@pytest.mark.parametrize("method", ["SM", "AS"])
def test_a_fit_on_some_frame_pairs_comes_out_of_the_curve_of_all(scored: ScoredMovie, method: str) -> None:
    layer = UncertaintyLayer(method)
    whole = scored.solve(layer)
    curve, pairs = curve_of(layer, whole, FINE), alternating(scored.graph.n_frames - 1)
    found = best_temperature([curve.only(pairs.numpy())])
    part = part_of(whole, pairs)
    assert math.log(found) == pytest.approx(math.log(fit_temperature(layer, [part]).temperature), abs=0.01)
    layer.scaler.temperature = 1.3
    nats = -part.judge(layer).true_log_p.sum().item()
    assert curve.only(pairs.numpy()).at(math.log(1.3)).sum() == pytest.approx(nats, rel=1e-3)


@pytest.mark.filterwarnings("ignore:all .* annotated daughters have a mother")
def test_pooled_curves_are_the_fit_of_all_movies_together(scored: ScoredMovie) -> None:
    layer = UncertaintyLayer("SM")
    pairs = alternating(scored.graph.n_frames - 1)
    parts = [part_of(scored, pairs), part_of(scored, ~pairs)]
    found = best_temperature([curve_of(layer, part, 1) for part in parts])
    assert math.log(found) == pytest.approx(math.log(fit_temperature(layer, parts).temperature), abs=0.01)
